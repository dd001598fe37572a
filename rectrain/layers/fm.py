"""The second-order part of factorization machines.

Shape letters: B batch, F fields, D width.
"""

import keras
from keras import ops


class PairwiseInteractions(keras.layers.Layer):
    """Sum of the inner products of all pairs of different fields.

    Uses sum over i < j of <v_i, v_j> = ((sum_i v_i)^2 - sum_i v_i^2) / 2, summed over the width, which costs F * D
    instead of F^2 * D. The difference of two larger sums loses digits, so it is taken in float32 under any precision.

    Source: Rendle 2010, "Factorization Machines", lemma 3.1.
    Call arguments:
        x: float (B, F, D), one vector a field, already multiplied by the field's value.
    Returns:
        float32 (B,), a logit.
    """

    def __init__(self, *, name: str = "pairs"):
        super().__init__(name=name, dtype="float32")

    def call(self, x):
        return _pairs(x)


@ops.custom_gradient
def _pairs(x):
    """The derivative by v_i is the sum of all other vectors: written out, it takes a third of the automatic one."""
    sum_BD = ops.sum(x, axis=1)
    logit_B = 0.5 * (ops.sum(ops.square(sum_BD), axis=1) - ops.sum(ops.square(x), axis=(1, 2)))

    def gradient(upstream_B):
        return upstream_B[:, None, None] * (sum_BD[:, None] - x)

    return logit_B, gradient
