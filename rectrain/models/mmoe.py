"""Multi-gate Mixture-of-Experts: each task mixes shared experts with a gate of its own.

Source: Ma et al. 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD.
"""

import keras

from rectrain.features.embedding import flat_features
from rectrain.features.inputs import packed_inputs
from rectrain.layers.experts import Experts, Gates, Mixture
from rectrain.layers.towers import towers
from rectrain.schema import Schema
from rectrain.tasks import Task


def build(
    schema: Schema,
    tasks: list[Task],
    *,
    embedding_dim: int,
    embedding_stddev: float,
    num_experts: int,
    expert_units: list[int],
    tower_units: list[int],
    dropout: float,
) -> keras.Model:
    batch = packed_inputs(schema)
    features = flat_features(schema, batch, width=embedding_dim, stddev=embedding_stddev)
    experts = Experts(num_experts, expert_units)(features)
    gates = Gates([task.name for task in tasks], num_experts)(features)
    heard = Mixture(name="mixture")(gates, experts)
    return keras.Model(batch, towers(tasks, heard, units=tower_units, dropout=dropout), name="mmoe")
