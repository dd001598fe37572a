"""The logit of a product of two probabilities. Shape letter: B batch."""

import keras
import tensorflow as tf


class JointLogit(keras.layers.Layer):
    """logit(sigmoid(a) sigmoid(b)) = a + b - log(1 + e^a + e^b), in float32: finite for any finite a and b.

    Never above a or b, not even by rounding.

    Call arguments:
        a, b: float32 (B,).
    Returns:
        float32 (B,).
    """

    def __init__(self, *, name: str = "joint_logit", dtype: str = "float32", **settings):
        super().__init__(name=name, dtype=dtype, **settings)

    def call(self, a, b):
        log_sum = tf.reduce_logsumexp(tf.stack([tf.zeros_like(a), a, b], axis=-1), axis=-1)
        larger, smaller = tf.maximum(a, b), tf.minimum(a, b)
        return smaller + (larger - log_sum)  # what is in parentheses is never above 0
