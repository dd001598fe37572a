"""Wide & Deep: a linear model over values and hand-made crosses beside an MLP over embeddings.

Source: Cheng et al. 2016, "Wide & Deep Learning for Recommender Systems", arXiv:1606.07792.
"""

import keras

from rectrain.features.embedding import side_by_side
from rectrain.features.inputs import packed_inputs
from rectrain.features.linear import fields_and_linear
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
    hidden_units: list[int],
    dropout: float,
    batch_norm: bool,
) -> keras.Model:
    task = single_task(tasks)
    batch = packed_inputs(schema)
    fields, wide = fields_and_linear(
        schema, batch, width=embedding_dim, stddev=embedding_stddev, numeric=numeric_vectors
    )
    features = side_by_side(schema, batch, fields, numeric_vectors=numeric_vectors)
    hidden = MLP(hidden_units, dropout=dropout, batch_norm=batch_norm)(features)
    parts = [wide, Logit(name="deep_logit")(hidden)]
    return keras.Model(batch, {task: keras.layers.Add(name="logit", dtype="float32")(parts)}, name="wide_deep")
