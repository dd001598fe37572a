"""Deep & Cross Network, version 1: vector crosses beside an MLP.

Source: Wang et al. 2017, "Deep & Cross Network for Ad Click Predictions", arXiv:1708.05123.
"""

import keras

from rectrain.features.embedding import flat_features
from rectrain.features.inputs import packed_inputs
from rectrain.layers.cross import VectorCrossNetwork
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
    numeric_vectors: bool,
    num_crosses: int,
    hidden_units: list[int],
    dropout: float,
    batch_norm: bool,
) -> keras.Model:
    task = single_task(tasks)
    batch = packed_inputs(schema)
    features = flat_features(
        schema, batch, width=embedding_dim, stddev=embedding_stddev, numeric_vectors=numeric_vectors
    )
    top = VectorCrossNetwork(num_crosses)(features)
    if hidden_units:
        top = [top, MLP(hidden_units, dropout=dropout, batch_norm=batch_norm)(features)]
    return keras.Model(batch, {task: Logit()(top)}, name="dcn")
