"""SIM, hard search: DIN on the short history, and attention to the steps of a long one with the candidate's category.

These steps are found when the data are read: they are the history's hits.

Source: Pi et al. 2020, "Search-based User Interest Modeling with Lifelong Sequential Behavior Data for Click-Through
Rate Prediction", arXiv:2006.05639.
"""

import keras

from rectrain.features.histories import history_of_role, short_histories
from rectrain.features.inputs import packed_inputs
from rectrain.features.sequences import SequenceFeatures, flat_fields
from rectrain.layers.din import activation_units
from rectrain.layers.exact_search import exact_search_unit
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
    exact_search: str,
    num_heads: int,
    head_width: int,
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
    hits = history_of_role(schema, "hits", "sim_hard")
    histories = short_histories(schema, "sim_hard")
    batch = packed_inputs(schema, roles=("short", "hits"), extras=True)
    features = SequenceFeatures(
        schema, [*histories, hits], extras=True, search=None, width=embedding_dim, stddev=embedding_stddev
    )(batch)
    attention = {
        "units": attention_units,
        "activation": attention_activation,
        "softmax": softmax,
        "scaling": scaling,
    }
    found = features["histories"].pop(hits.name)
    interests = activation_units(features["histories"], attention)
    searched = exact_search_unit(exact_search, attention=attention, num_heads=num_heads, head_width=head_width)(found)
    flat = keras.layers.Concatenate(name="top")([flat_fields(schema, batch, features), *interests, searched])
    hidden = MLP(hidden_units, dropout=dropout, batch_norm=batch_norm, activation=hidden_activation)(flat)
    return keras.Model(batch, {task: Logit()(hidden)}, name="sim_hard")
