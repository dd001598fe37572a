"""Rows of a weight so small that its gradient may be dense.

Shape letters: R rows, D width.
"""

import tensorflow as tf


def small_look_up(weight, ids):
    """Rows of `weight` at `ids`; rows are summed into a dense gradient.

    Args:
        weight: float (R, D).  ids: int32, any shape.
    Returns:
        float (*ids.shape, D).
    """
    return _look_up(tf.convert_to_tensor(weight), ids)


@tf.custom_gradient
def _look_up(weight_RD, ids):
    def gradient(upstream):
        return tf.math.unsorted_segment_sum(upstream, ids, weight_RD.shape[0]), None

    return tf.gather(weight_RD, ids), gradient
