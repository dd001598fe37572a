"""Padded histories as one long list of their real steps, and back: what is computed on each step skips the padding.

Shape letters: B batch, T steps, N real steps of all rows, M = B * T, D width.
"""

import tensorflow as tf


class ValidSteps:
    """Where the real steps of a batch lie.

    Args:
        valid: bool (B, T).
    """

    def __init__(self, valid):
        self._shape = tf.shape(valid)
        valid_M = tf.reshape(valid, [-1])
        self._places_N = tf.cast(tf.where(valid_M)[:, 0], tf.int32)
        num_steps = tf.size(self._places_N)
        # For each place the number of its step; for padding that of the row of zeros that _move appends.
        self._steps_M = tf.where(valid_M, tf.cumsum(tf.cast(valid_M, tf.int32)) - 1, num_steps)
        self.rows_N = self._places_N // tf.maximum(self._shape[1], 1)

    def pack(self, x):
        """float (B, T, D) -> (N, D)."""
        return _take(tf.reshape(x, (-1, x.shape[-1])), self._places_N, self._steps_M)

    def unpack(self, x):
        """float (N, D) -> (B, T, D) with zeros as padding."""
        x_MD = _spread(x, self._places_N, self._steps_M)
        return tf.reshape(x_MD, (self._shape[0], self._shape[1], x.shape[-1]))

    def repeat(self, x):
        """float (B, D), one vector a row -> (N, D), that of each step's row."""
        return _repeat(x, self.rows_N)


def _with_zeros(x_ND):
    return tf.concat([x_ND, tf.zeros((1, x_ND.shape[1]), x_ND.dtype)], axis=0)


# The gradients are written out: that of tf.gather adds rows up one by one, although here none is read twice.
@tf.custom_gradient
def _take(x_MD, places_N, steps_M):
    def gradient(upstream_ND):
        return tf.gather(_with_zeros(upstream_ND), steps_M), None, None

    return tf.gather(x_MD, places_N), gradient


@tf.custom_gradient
def _spread(x_ND, places_N, steps_M):
    def gradient(upstream_MD):
        return tf.gather(upstream_MD, places_N), None, None

    return tf.gather(_with_zeros(x_ND), steps_M), gradient


@tf.custom_gradient
def _repeat(x_BD, rows_N):
    num_rows = tf.shape(x_BD)[0]

    def gradient(upstream_ND):
        # For ids in order, a fifth of the time of unsorted_segment_sum; it ends at the last row that has a step.
        sums = tf.math.segment_sum(upstream_ND, rows_N)
        return tf.pad(sums, ((0, num_rows - tf.shape(sums)[0]), (0, 0))), None

    return tf.gather(x_BD, rows_N), gradient
