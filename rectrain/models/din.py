"""Deep Interest Network: each step of a history counts as much as the candidate makes of it.

Source: Zhou et al. 2018, "Deep Interest Network for Click-Through Rate Prediction", arXiv:1706.06978.
"""

import keras

from rectrain.features.histories import short_histories
from rectrain.features.inputs import packed_inputs
from rectrain.features.sequences import SequenceFeatures, flat_fields
from rectrain.layers.din import ActivationUnit
from rectrain.layers.mlp import MLP, Logit
from rectrain.models.outputs import single_label
from rectrain.schema import Schema


def build(
    schema: Schema,
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
    label = single_label(schema)
    histories = short_histories(schema, "din")
    batch = packed_inputs(schema, extras=True)
    features = SequenceFeatures(
        schema, histories, extras=True, search=None, width=embedding_dim, stddev=embedding_stddev
    )(batch)
    interests = [
        ActivationUnit(
            units=attention_units,
            activation=attention_activation,
            softmax=softmax,
            scaling=scaling,
            name=f"attention_{history.name}",
        )(features["histories"][history.name])
        for history in histories
    ]
    flat = keras.layers.Concatenate(name="top")([flat_fields(schema, batch, features), *interests])
    hidden = MLP(hidden_units, dropout=dropout, batch_norm=batch_norm, activation=hidden_activation)(flat)
    return keras.Model(batch, {label: Logit()(hidden)}, name="din")
