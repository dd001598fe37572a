"""The first-order part: one weight a value.

Shape letters: B batch, F categorical columns, T values of a multi-valued feature, N numeric features.
"""

import keras
from keras import ops

from rectrain.features.embedding import average_valid, gather_rows
from rectrain.schema import Schema


class LinearTerms(keras.layers.Layer):
    """Sum of one weight for each value of a row, hand-made crosses included, plus a bias.

    A multi-valued feature counts with the mean of its values' weights, a numeric one with value x weight. Weights start
    at zero, so that what a sparse optimizer never moves stays exactly zero. Computes in float32 under any precision: it
    is a sum of many small terms, one number each, and costs next to nothing.

    Call arguments:
        batch: the packed batch.
    Returns:
        float32 (B,), a logit.
    """

    def __init__(self, schema: Schema, *, name: str = "linear"):
        super().__init__(name=name, dtype="float32")
        self.schema = schema

    def build(self, batch_shape):
        if self.schema.num_linear_rows:
            shape = (self.schema.num_linear_rows, 1)
            self.table = self.add_weight(shape=shape, initializer="zeros", name="table", autocast=False)
        if self.schema.numeric:
            self.kernel = self.add_weight(shape=(len(self.schema.numeric),), initializer="zeros", name="kernel")
        self.bias = self.add_weight(shape=(), initializer="zeros", name="bias")

    def call(self, batch):
        logit_B = self.bias
        if self.schema.num_categorical_columns:
            logit_B = logit_B + ops.sum(gather_rows(self.table, batch["categorical"]), axis=(1, 2))
        for feature in self.schema.multi_valued:
            mean_B1 = average_valid(gather_rows(self.table, batch[feature.name]), batch[f"{feature.name}_valid"])
            logit_B = logit_B + mean_B1[:, 0]
        if self.schema.numeric:
            logit_B = logit_B + ops.sum(batch["numeric"] * self.kernel, axis=1)
        return logit_B
