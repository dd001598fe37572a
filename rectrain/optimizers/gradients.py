"""Gradients on their way from the loss to the optimizers: repeated rows summed, L2, clipping.

Letters: N looked-up rows, U unique rows, D width of a row.
"""

import tensorflow as tf

_WIDE = 32  # numbers: SparseTensorDenseMatMul takes six times as long from here on


def merge_duplicates(gradient, variable):
    """Sums the values of rows that occur several times; a dense gradient is returned as it is.

    Without it everything that is not linear in the gradient (a norm, Adam's second moment) is wrong for a repeated row.

    Args:
        gradient: tf.IndexedSlices, values float (N, D), indices int (N,), or a dense tensor.
        variable: the table, (rows, D).
    Returns:
        tf.IndexedSlices, values float (U, D), indices int (U,) in order of first occurrence; or the dense tensor.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    if _are_distinct(gradient.indices):
        return gradient
    values_ND = tf.ensure_shape(gradient.values, [None, *variable.shape[1:]])  # a sum over replicas has lost D
    rows_U, position_N = tf.unique(gradient.indices)
    values_UD = sum_rows(values_ND, position_N, tf.size(rows_U))
    return tf.IndexedSlices(values_UD, rows_U, gradient.dense_shape)


def _are_distinct(indices) -> bool:
    """Whether the graph itself proves it: they are the output of a tf.unique, as those of features/tables.py."""
    if not tf.is_symbolic_tensor(indices):
        return False
    while indices.op.type in ("Identity", "Reshape"):
        indices = indices.op.inputs[0]
    return indices.op.type == "Unique" and indices.value_index == 0


def sum_rows(values, positions, num_positions):
    """Sums the rows of equal position.

    A product with a sparse matrix of ones: on a CPU it takes a third of the time of tf.math.unsorted_segment_sum, as
    long as rows are narrower than 32 numbers, for which TensorFlow has a loop of its own. Wider ones are cut.

    Args:
        values: float32 (N, D), D known.  positions: int32 (N,).  num_positions: int32 (), U.
    Returns:
        float32 (U, D).
    """
    parts = tf.split(values, _widths(values.shape[1]), axis=1)
    ones = _sparse_ones(positions, num_positions)
    return tf.concat([tf.raw_ops.SparseTensorDenseMatMul(b=part, **ones) for part in parts], axis=1)


def _sparse_ones(positions, num_positions) -> dict:
    num_rows = tf.size(positions)
    return {
        "a_indices": tf.stack([positions, tf.range(num_rows)], axis=1),
        "a_values": tf.ones_like(positions, tf.float32),
        "a_shape": tf.cast(tf.stack([num_positions, num_rows]), tf.int64),
    }


def _widths(width: int) -> list[int]:
    """The fewest nearly equal parts below _WIDE."""
    num_parts = -(-width // (_WIDE - 1))
    return [width // num_parts + (part < width % num_parts) for part in range(num_parts)]


def densify(gradient, variable):
    """The whole table's gradient, repeated rows summed; zeros for untouched rows.

    Returns:
        float, the shape of `variable`.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    return sum_rows(gradient.values, gradient.indices, variable.shape[0])


def gather_rows(variable: tf.Variable, rows):
    """Rows of the replica's own copy of a table, float (U, D).

    tf.gather would first read a mirrored variable whole; the handle is that of the replica's copy.
    """
    return tf.raw_ops.ResourceGather(resource=variable.handle, indices=rows, dtype=variable.dtype)


def add_l2(gradient, variable: tf.Variable, l2: float, regularize: str, occurrences: tf.Variable | None = None):
    """Adds the gradient of l2 / 2 * sum of squares of the weight.

    Source of "frequency": Zhou et al. 2018, arXiv:1706.06978, section 5.1 (mini-batch aware regularization).
    Args:
        gradient: float, the weight's shape; or tf.IndexedSlices of unique rows.
        regularize: "batch" takes the sum over the touched rows, each once; "frequency" as well, each divided by its
            `occurrences`; "table" over all rows, which makes a sparse gradient dense: the step then costs a pass over
            the table.
        occurrences: float (rows, 1) of a table, above 0.
    """
    if l2 == 0:
        return gradient
    if isinstance(gradient, tf.IndexedSlices) and regularize != "table":
        rows_UD = gather_rows(variable, gradient.indices)
        if regularize == "frequency":
            rows_UD = rows_UD / gather_rows(occurrences, gradient.indices)
        return tf.IndexedSlices(gradient.values + l2 * rows_UD, gradient.indices, gradient.dense_shape)
    return densify(gradient, variable) + l2 * variable


def clip_by_global_norm(gradients: list, clip_norm: float | None) -> list:
    """Scales all gradients by min(1, clip_norm / norm), norm that of all of them together.

    Source: Pascanu et al. 2013, "On the difficulty of training recurrent neural networks", arXiv:1211.5063.
    Args:
        gradients: dense tensors, or tf.IndexedSlices of unique rows (the norm of repeated rows would be wrong).
        clip_norm: > 0; None: no clipping.
    """
    return gradients if clip_norm is None else tf.clip_by_global_norm(gradients, clip_norm)[0]
