"""Gradients on their way from the loss to the optimizers: repeated rows summed, L2, clipping.

Letters: N looked-up rows, U unique rows, D width of a row.
"""

import tensorflow as tf


def merge_duplicates(gradient):
    """Sums the values of rows that occur several times; a dense gradient is returned as it is.

    Without it everything that is not linear in the gradient (a norm, Adam's second moment) is wrong for a repeated row.

    Args:
        gradient: tf.IndexedSlices, values float (N, D), indices int (N,), or a dense tensor.
    Returns:
        tf.IndexedSlices, values float (U, D), indices int (U,) in order of first occurrence; or the dense tensor.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    rows_U, position_N = tf.unique(gradient.indices)
    values_UD = tf.math.unsorted_segment_sum(gradient.values, position_N, tf.size(rows_U))
    return tf.IndexedSlices(values_UD, rows_U, gradient.dense_shape)


def densify(gradient, variable):
    """The whole table's gradient, repeated rows summed; zeros for untouched rows.

    Returns:
        float, the shape of `variable`.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    return tf.math.unsorted_segment_sum(gradient.values, gradient.indices, variable.shape[0])


def gather_rows(variable: tf.Variable, rows):
    """Rows of the replica's own copy of a table, float (U, D).

    tf.gather would first read a mirrored variable whole; the handle is that of the replica's copy.
    """
    return tf.raw_ops.ResourceGather(resource=variable.handle, indices=rows, dtype=variable.dtype)


def add_l2(gradient, variable: tf.Variable, l2: float, regularize: str):
    """Adds the gradient of l2 / 2 * sum of squares of the weight.

    Args:
        gradient: float, the weight's shape; or tf.IndexedSlices of unique rows.
        regularize: "batch" takes the sum over the touched rows, each once; "table" over all rows, which makes a sparse
            gradient dense: the step then costs a pass over the table.
    """
    if l2 == 0:
        return gradient
    if isinstance(gradient, tf.IndexedSlices) and regularize == "batch":
        values_UD = gradient.values + l2 * gather_rows(variable, gradient.indices)
        return tf.IndexedSlices(values_UD, gradient.indices, gradient.dense_shape)
    return densify(gradient, variable) + l2 * variable


def clip_by_global_norm(gradients: list, clip_norm: float | None) -> list:
    """Scales all gradients by min(1, clip_norm / norm), norm that of all of them together.

    Source: Pascanu et al. 2013, "On the difficulty of training recurrent neural networks", arXiv:1211.5063.
    Args:
        gradients: dense tensors, or tf.IndexedSlices of unique rows (the norm of repeated rows would be wrong).
        clip_norm: > 0; None: no clipping.
    """
    return gradients if clip_norm is None else tf.clip_by_global_norm(gradients, clip_norm)[0]
