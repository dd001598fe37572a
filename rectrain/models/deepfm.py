"""DeepFM: a factorization machine and an MLP that share one set of embeddings.

Source: Guo et al. 2017, "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction", arXiv:1703.04247.
"""

import keras

from rectrain.features.inputs import packed_inputs
from rectrain.features.linear import fields_and_linear
from rectrain.layers.fm import PairwiseInteractions
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
    hidden_units: list[int],
    dropout: float,
    batch_norm: bool,
) -> keras.Model:
    task = single_task(tasks)
    batch = packed_inputs(schema)
    fields, linear = fields_and_linear(
        schema, batch, width=embedding_dim, stddev=embedding_stddev, numeric=True, unmultiplied=True
    )
    hidden = MLP(hidden_units, dropout=dropout, batch_norm=batch_norm, of_fields=True)(fields)
    parts = [linear, PairwiseInteractions()(fields), Logit(name="deep_logit")(hidden)]
    return keras.Model(batch, {task: keras.layers.Add(name="logit", dtype="float32")(parts)}, name="deepfm")
