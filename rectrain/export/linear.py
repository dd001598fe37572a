"""A linear model without the weights that are zero.

Letters: B batch, F columns, T values, R weights that are not zero.
"""

import numpy as np
import tensorflow as tf

from rectrain.data.plan import Features
from rectrain.schema import Schema


class SparseLinear(tf.Module):
    """Logistic regression of a packed batch, as features/linear.py, with the rows of its table that are not zero.

    Args:
        table: float32 (rows,), one weight a row of the fused table, crosses included.
        kernel: float32 (N,), of numeric features.
    """

    def __init__(self, schema: Schema, features: Features, table: np.ndarray, kernel: np.ndarray, bias: float):
        super().__init__()
        self._valid = {f.name: features.ragged[f.name][0] for f in schema.multi_valued}
        rows_R = np.flatnonzero(table)
        # At least one row: to look up in nothing is an error.
        self._rows = tf.Variable(rows_R if rows_R.size else [-1], trainable=False, dtype=tf.int64)
        self._weights = tf.Variable(table[rows_R] if rows_R.size else [0], trainable=False, dtype=tf.float32)
        self._kernel, self._bias = (tf.Variable(x, trainable=False, dtype=tf.float32) for x in (kernel, bias))

    def __call__(self, batch: dict):
        """Probabilities, float32 (B,)."""
        logit = tf.convert_to_tensor(self._bias)
        if "categorical" in batch:
            logit += tf.reduce_sum(self._look_up(batch["categorical"]), axis=1)
        for name, valid_name in self._valid.items():
            valid = tf.cast(batch[valid_name], tf.float32)
            total = tf.reduce_sum(self._look_up(batch[name]) * valid, axis=1)
            logit += total / tf.maximum(tf.reduce_sum(valid, axis=1), 1)
        if "numeric" in batch:
            logit += tf.reduce_sum(batch["numeric"] * self._kernel, axis=1)
        return tf.sigmoid(logit)

    def _look_up(self, ids):
        """float32 (B, T) of int32 (B, T)."""
        flat = tf.cast(tf.reshape(ids, [-1]), tf.int64)
        place = tf.minimum(tf.searchsorted(self._rows, flat), self._rows.shape[0] - 1)
        weights = tf.where(tf.gather(self._rows, place) == flat, tf.gather(self._weights, place), 0.0)
        return tf.reshape(weights, tf.shape(ids))
