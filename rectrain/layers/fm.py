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
        square_of_sum_BD = ops.square(ops.sum(x, axis=1))
        sum_of_squares_BD = ops.sum(ops.square(x), axis=1)
        return 0.5 * ops.sum(square_of_sum_BD - sum_of_squares_BD, axis=1)
