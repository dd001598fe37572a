"""A history as one vector, whatever the candidate is.

Shape letters: B batch, T steps, D width, R rows of the weights of steps.
"""

import keras
from keras import ops

from rectrain.layers.masked_softmax import masked_softmax
from rectrain.layers.small_tables import small_look_up


class SumPooling(keras.layers.Layer):
    """Sum of the real steps; an empty history gives zeros.

    Call arguments:
        keys: float (B, T, D).  valid: bool (B, T).
    Returns:
        float (B, D).
    """

    def call(self, keys, valid):
        return weighted_sum(ops.cast(valid, keys.dtype), keys)


class MeanPooling(keras.layers.Layer):
    """Mean of the real steps; an empty history gives zeros.

    Call arguments:
        keys: float (B, T, D).  valid: bool (B, T).
    Returns:
        float (B, D).
    """

    def call(self, keys, valid):
        valid_BT = ops.cast(valid, keys.dtype)
        return weighted_sum(valid_BT, keys) / ops.maximum(ops.sum(valid_BT, axis=1, keepdims=True), 1)


class WeightedPooling(keras.layers.Layer):
    """Mean of the real steps, weighted by exp(a number learned for each kind of step); no step gives zeros.

    The numbers start at 0, so that it starts as the plain mean.

    Args:
        num_rows: R, kinds of steps, such as the buckets of the time gap or the types of the action.
    Call arguments:
        keys: float (B, T, D).  kinds: int32 (B, T), in [0, R).  valid: bool (B, T).
    Returns:
        float (B, D).
    """

    def __init__(self, num_rows: int, *, name: str, **settings):
        super().__init__(name=name, **settings)
        self.num_rows = num_rows

    def build(self, keys_shape, kinds_shape, valid_shape):
        self.log_weights = self.add_weight(shape=(self.num_rows, 1), initializer="zeros", name="log_weights")

    def call(self, keys, kinds, valid):
        log_weights_BT = small_look_up(self.log_weights, kinds)[..., 0]
        # The softmax of log weights is the weights over their sum.
        return weighted_sum(masked_softmax(log_weights_BT, valid), keys)


def weighted_sum(weights, x):
    """Sum of float (B, T, D) over the steps, each times its weight, float (B, T): float (B, D)."""
    return ops.matmul(weights[:, None], x)[:, 0]
