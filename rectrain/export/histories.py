"""Lists of raw values -> the histories of a packed batch, as TensorFlow graphs.

Shape letters: B batch, M cells as they come, T steps, S steps of one history, G categories of a row or a step.
"""

import tensorflow as tf

_ONE_MORE = ((0, 0), (0, 1))  # a cell, so that there is one to point at where T is 0


def lists(cells, separator: str | None):
    """The values of each row from its left.

    Args:
        cells: string (B, M). A single one is cut at the separator; of several the blank ones at the end are padding.
        separator: None: none.
    Returns:
        string (B, T), blank behind the last value; lengths int32 (B,).
    """
    if separator is None:
        return cells, filled_length(cells != "")
    return tf.cond(tf.shape(cells)[1] == 1, lambda: _cut(cells[:, 0], separator), lambda: lists(cells, None))


def _cut(cells, separator: str):
    parts = tf.strings.split(cells, separator)
    lengths = tf.where(cells == "", 0, tf.cast(parts.row_lengths(), tf.int32))
    return parts.to_tensor(""), lengths


def filled_length(filled):
    """int32 (B,): places up to the last one where bool (B, T) is True."""
    places = tf.range(1, tf.shape(filled)[1] + 1)
    return tf.reduce_max(tf.where(filled, places, 0), axis=1)


def newest(lengths, num_steps: int):
    """The last `num_steps` of the first `lengths` cells, oldest first: places int32 (B, S) and valid bool (B, S).

    S is the longest of the batch, and at least 1.
    """
    kept = tf.minimum(lengths, num_steps)
    steps = tf.range(tf.maximum(tf.reduce_max(kept), 1))
    valid = steps < kept[:, None]
    return tf.where(valid, (lengths - kept)[:, None] + steps, 0), valid


def newest_where(chosen, num_steps: int):
    """The last `num_steps` places where bool (B, T) is True, oldest first: int32 (B, S) and bool (B, S) as `newest`."""
    chosen = tf.pad(chosen, _ONE_MORE)
    from_end = tf.cumsum(tf.cast(chosen, tf.int32), axis=1, reverse=True)
    kept = chosen & (from_end <= num_steps)
    kept_first = tf.argsort(tf.cast(~kept, tf.int32), axis=1, stable=True)
    counts = tf.reduce_sum(tf.cast(kept, tf.int32), axis=1)
    steps = tf.range(tf.maximum(tf.reduce_max(counts), 1))
    return kept_first[:, : tf.size(steps)], steps < counts[:, None]


def taken(values, places, valid, instead):
    """values (B, T) at places (B, S) where valid (B, S), `instead` elsewhere."""
    return tf.where(valid, tf.gather(tf.pad(values, _ONE_MORE), places, batch_dims=1), instead)


def have_in_common(of_row, of_steps):
    """bool (B, T): whether a step has one of its row's categories; 0 is none.

    Args:
        of_row: int64 (B, G).  of_steps: int64 (B, T, G).
    """
    same = of_row[:, None, :, None] == of_steps[:, :, None, :]
    return tf.reduce_any(same & (of_row != 0)[:, None, :, None], axis=(2, 3))
