"""Shared-Bottom: one network below, a tower for each task on top of it.

Source: Caruana 1997, "Multitask Learning".
"""

import keras

from rectrain.features.embedding import flat_features
from rectrain.features.inputs import packed_inputs
from rectrain.layers.mlp import MLP
from rectrain.layers.towers import towers
from rectrain.schema import Schema
from rectrain.tasks import Task


def build(
    schema: Schema,
    tasks: list[Task],
    *,
    embedding_dim: int,
    embedding_stddev: float,
    hidden_units: list[int],
    tower_units: list[int],
    dropout: float,
    batch_norm: bool,
) -> keras.Model:
    batch = packed_inputs(schema)
    features = flat_features(schema, batch, width=embedding_dim, stddev=embedding_stddev)
    bottom = MLP(hidden_units, dropout=dropout, batch_norm=batch_norm)(features)
    logits = towers(tasks, [bottom] * len(tasks), units=tower_units, dropout=dropout)
    return keras.Model(batch, logits, name="shared_bottom")
