"""Softmax over the real steps of a history."""

import tensorflow as tf
from keras import ops

_LOWEST = -1e30  # finite: the softmax of -inf alone is NaN


def masked_softmax(scores, valid):
    """exp(score) over the sum of those of the real steps; 0 for padding, so zeros alone for an empty history.

    Computes in float32 under any precision.

    Args:
        scores: float (..., T).  valid: bool, of a shape that broadcasts to that of scores.
    Returns:
        float (..., T), in the precision of scores.
    """
    # Keras' softmax warns of a history of one step.
    exact = ops.where(valid, ops.cast(scores, "float32"), _LOWEST)
    return ops.cast(tf.nn.softmax(exact), scores.dtype) * ops.cast(valid, scores.dtype)
