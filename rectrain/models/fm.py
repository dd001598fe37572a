"""Factorization machine: one weight a value, and the inner product of every pair of fields.

Source: Rendle 2010, "Factorization Machines". The vector of a multi-valued feature is the mean of its values' vectors,
so it makes pairs with other fields and none within itself.
"""

import keras

from rectrain.features.inputs import packed_inputs
from rectrain.features.linear import fields_and_linear
from rectrain.layers.fm import PairwiseInteractions
from rectrain.models.outputs import single_task
from rectrain.schema import Schema
from rectrain.tasks import Task


def build(schema: Schema, tasks: list[Task], *, embedding_dim: int, embedding_stddev: float) -> keras.Model:
    task = single_task(tasks)
    batch = packed_inputs(schema)
    fields, linear = fields_and_linear(
        schema, batch, width=embedding_dim, stddev=embedding_stddev, numeric=True, unmultiplied=True
    )
    parts = [linear, PairwiseInteractions()(fields)]
    return keras.Model(batch, {task: keras.layers.Add(name="logit", dtype="float32")(parts)}, name="fm")
