"""One fused embedding table for all features of a model.

Shape letters: B batch, F fields, T values of a multi-valued feature, N numeric features, D width.
"""

import math

import keras
import tensorflow as tf
from keras import ops

from rectrain.errors import InputError
from rectrain.schema import Schema


def gather_rows(table: keras.Variable, ids):
    """Rows of `table` at `ids`, without reading the rest of it.

    `tf.gather` on the variable itself is a sparse read, whose gradient is a `tf.IndexedSlices`; reading the variable
    first would make every in-place update copy the whole table.
    """
    return tf.gather(table.value, ids)


def average_valid(x, valid):
    """Mean of float (B, T, D) over the steps where bool (B, T) is True; no such step gives zeros: float (B, D)."""
    valid_BT1 = ops.cast(valid, x.dtype)[..., None]
    return ops.sum(x * valid_BT1, axis=1) / ops.maximum(ops.sum(valid_BT1, axis=1), 1)


class FieldEmbeddings(keras.layers.Layer):
    """One vector a field: looked up (categorical), averaged over its values (multi-valued), value x vector (numeric).

    Args:
        schema: the features; hand-made crosses have no embedding.
        width: D.  stddev: of the normal initializer.
        numeric: whether numeric features become fields too; models that use raw numbers say False.
    Call arguments:
        batch: the packed batch.
    Returns:
        float (B, F, D): categorical, then multi-valued, then numeric fields, in the order of the schema.
    Raises:
        InputError: width is below 1; stddev is not a positive number.
    """

    def __init__(self, schema: Schema, *, width: int, stddev: float, numeric: bool, name: str = "embedding"):
        super().__init__(name=name)
        _check(width, stddev)
        self.schema = schema
        self.width = width
        self.stddev = stddev
        self.numeric = numeric and bool(schema.numeric)

    def build(self, batch_shape):
        if self.schema.num_embedding_rows:
            # autocast would copy the whole table to bfloat16 at every step; the gathered rows are cast instead.
            self.table = self._vectors(self.schema.num_embedding_rows, "table", autocast=False)
        if self.numeric:
            self.numeric_vectors = self._vectors(len(self.schema.numeric), "numeric_vectors", autocast=True)

    def call(self, batch):
        fields_BFD = []
        if self.schema.categorical:
            ids_BF = batch["categorical"][:, : len(self.schema.categorical)]
            fields_BFD.append(self._look_up(ids_BF))
        for feature in self.schema.multi_valued:
            values_BTD = self._look_up(batch[feature.name])
            fields_BFD.append(average_valid(values_BTD, batch[f"{feature.name}_valid"])[:, None])
        if self.numeric:
            numeric_BN1 = ops.cast(batch["numeric"], self.compute_dtype)[..., None]
            fields_BFD.append(numeric_BN1 * self.numeric_vectors)
        return ops.concatenate(fields_BFD, axis=1)

    def _vectors(self, count: int, name: str, *, autocast: bool):
        # An initializer of its own for each: one that is used twice draws the same numbers twice.
        initializer = keras.initializers.RandomNormal(stddev=self.stddev)
        return self.add_weight(shape=(count, self.width), initializer=initializer, name=name, autocast=autocast)

    def _look_up(self, ids):
        return ops.cast(gather_rows(self.table, ids), self.compute_dtype)


def flat_features(schema: Schema, batch, *, width: int, stddev: float):
    """Embeddings side by side, then the raw numeric values: float (B, F * D + N), the input of deep and cross nets."""
    parts = []
    if schema.categorical or schema.multi_valued:
        fields_BFD = FieldEmbeddings(schema, width=width, stddev=stddev, numeric=False)(batch)
        parts.append(keras.layers.Flatten(name="flatten")(fields_BFD))
    if schema.numeric:
        parts.append(batch["numeric"])
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate(name="features")(parts)


def _check(width: int, stddev: float):
    if width < 1:
        raise InputError(f"the width of embeddings must be at least 1; received {width}. Set model.embedding_dim.")
    if not 0 < stddev < math.inf:
        raise InputError(
            f"the standard deviation of initial embeddings must be a positive number; received {stddev}. "
            "Set model.embedding_stddev, for example to 0.01."
        )
