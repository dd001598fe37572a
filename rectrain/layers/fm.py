"""The second-order part of factorization machines.

Shape letters: B batch, F looked-up fields, N numeric fields, D width.
"""

import keras
from keras import ops


class PairwiseInteractions(keras.layers.Layer):
    """Sum of the inner products of all pairs of different fields.

    Uses sum over i < j of <v_i, v_j> = ((sum_i v_i)^2 - sum_i v_i^2) / 2, summed over the width, which costs F * D
    instead of F^2 * D; of numeric fields, x_n v_n, neither sum needs the products one by one. The difference of two
    larger sums loses digits, so it is taken in float32 under any precision.

    Source: Rendle 2010, "Factorization Machines", lemma 3.1.
    Call arguments:
        fields: {"fields": float (B, F, D), "numbers": float (B, N), "number_vectors": float (N, D)}, each of the two
            kinds of fields if there are any.
    Returns:
        float32 (B,), a logit.
    """

    def __init__(self, *, name: str = "pairs", dtype: str = "float32", **settings):
        super().__init__(name=name, dtype=dtype, **settings)

    def call(self, fields):
        if "numbers" not in fields:
            return _pairs(fields["fields"], ops.zeros_like(fields["fields"][:, 0]))
        numbers, vectors = fields["numbers"], fields["number_vectors"]
        sum_BD = ops.matmul(numbers, vectors)
        squares_B = ops.matmul(ops.square(numbers), ops.sum(ops.square(vectors), axis=1, keepdims=True))[:, 0]
        if "fields" not in fields:
            return 0.5 * (ops.sum(ops.square(sum_BD), axis=1) - squares_B)
        return _pairs(fields["fields"], sum_BD) - 0.5 * squares_B


@ops.custom_gradient
def _pairs(x, others):
    """((sum_i x_i + others)^2 - sum_i x_i^2) / 2, summed over the width.

    The derivative by x_i is the sum of all other vectors: written out, it takes a third of the automatic one.

    Args:
        x: float (B, F, D).  others: float (B, D), sum of the vectors that are not in x.
    """
    sum_BD = ops.sum(x, axis=1) + others
    logit_B = 0.5 * (ops.sum(ops.square(sum_BD), axis=1) - ops.sum(ops.square(x), axis=(1, 2)))

    def gradient(upstream_B):
        return upstream_B[:, None, None] * (sum_BD[:, None] - x), upstream_B[:, None] * sum_BD

    return logit_B, gradient
