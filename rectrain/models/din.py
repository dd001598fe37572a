"""Deep Interest Network: each step of a history counts as much as the candidate makes of it.

Source: Zhou et al. 2018, "Deep Interest Network for Click-Through Rate Prediction", arXiv:1706.06978.
"""

import keras

from rectrain.features.histories import short_histories
from rectrain.features.inputs import packed_inputs
from rectrain.features.sequences import SequenceFeatures, flat_fields
from rectrain.layers.din import activation_units
from rectrain.layers.mlp import MLP, Logit
from rectrain.models.outputs import single_task
from rectrain.schema import Schema
from rectrain.tasks import Task


def build(
    schema: Schema,
    tasks: list[Task],
    *,
    embedding_dim: int,
    embedding_stddev: float,
    attention_units: list[int],
    attention_activation: str,
    softmax: bool,
    scaling: bool,
    hidden_units: list[int],
    hidden_activation: str,
    dropout: float,
    batch_norm: bool,
) -> keras.Model:
    task = single_task(tasks)
    histories = short_histories(schema, "din")
    batch = packed_inputs(schema, extras=True)
    features = SequenceFeatures(
        schema, histories, extras=True, search=None, width=embedding_dim, stddev=embedding_stddev
    )(batch)
    attention = {
        "units": attention_units,
        "activation": attention_activation,
        "softmax": softmax,
        "scaling": scaling,
    }
    interests = activation_units(features["histories"], attention)
    flat = keras.layers.Concatenate(name="top")([flat_fields(schema, batch, features), *interests])
    hidden = MLP(hidden_units, dropout=dropout, batch_norm=batch_norm, activation=hidden_activation)(flat)
    return keras.Model(batch, {task: Logit()(hidden)}, name="din")
