"""Lists of values, one a row, as TensorFlow graphs: cut, counted, and the wanted ones moved to the left.

Shape letters: B batch, M cells as they come, T values, S values that are kept, G categories of a row or a step.
"""

import tensorflow as tf

_ONE_MORE = ((0, 0), (0, 1))  # a cell, so that there is one to point at where T is 0


def cut(cells, separator: str):
    """The values of each row from its left.

    Args:
        cells: string (B, M). A single one is cut at the separator; of several the blank ones at the end are padding.
    Returns:
        string (B, T), blank behind the last value; lengths int32 (B,).
    """
    return tf.cond(
        tf.shape(cells)[1] == 1,
        lambda: _split(cells[:, 0], separator),
        lambda: (cells, filled_length(cells != "")),
    )


def _split(cells, separator: str):
    parts = tf.strings.split(cells, separator)
    lengths = tf.where(cells == "", 0, tf.cast(parts.row_lengths(), tf.int32))
    return parts.to_tensor(""), lengths


def filled_length(filled):
    """int32 (B,): places up to the last one where bool (B, T) is True."""
    places = tf.range(1, tf.shape(filled)[1] + 1)
    return tf.reduce_max(tf.where(filled, places, 0), axis=1)


def last(lengths, most: int):
    """The last `most` of the first `lengths` places, in their order: places int32 (B, S) and valid bool (B, S).

    S is the longest of the batch, and at least 1.
    """
    kept = tf.minimum(lengths, most)
    valid = tf.range(tf.maximum(tf.reduce_max(kept), 1)) < kept[:, None]
    return tf.where(valid, (lengths - kept)[:, None] + tf.range(tf.shape(valid)[1]), 0), valid


def last_where(chosen, most: int):
    """The last `most` places where bool (B, T) is True, in their order: int32 (B, S) and bool (B, S) as `last`."""
    chosen = tf.pad(chosen, _ONE_MORE)
    from_end = tf.cumsum(tf.cast(chosen, tf.int32), axis=1, reverse=True)
    return _to_the_left(chosen & (from_end <= most))


def first_where(chosen, most: int):
    """The same of the first `most` places."""
    chosen = tf.pad(chosen, _ONE_MORE)
    from_start = tf.cumsum(tf.cast(chosen, tf.int32), axis=1)
    return _to_the_left(chosen & (from_start <= most))


def _to_the_left(kept):
    kept_first = tf.argsort(tf.cast(~kept, tf.int32), axis=1, stable=True)
    counts = tf.reduce_sum(tf.cast(kept, tf.int32), axis=1)
    valid = tf.range(tf.maximum(tf.reduce_max(counts), 1)) < counts[:, None]
    return kept_first[:, : tf.shape(valid)[1]], valid


def taken(values, places, valid, instead):
    """values (B, T) at places (B, S) where valid (B, S), `instead` elsewhere."""
    return tf.where(valid, tf.gather(tf.pad(values, _ONE_MORE), places, batch_dims=1), instead)


def widened(values, width: int, padding):
    """(B, S), S up to `width`, as (B, width)."""
    wide = tf.pad(values, [[0, 0], [0, width - tf.shape(values)[1]]], constant_values=padding)
    return tf.ensure_shape(wide, (None, width))


def widened_to(values, width):
    """string (B, T) as (B, at least `width`), blank on the right."""
    return tf.pad(values, [[0, 0], [0, tf.maximum(width - tf.shape(values)[1], 0)]])


def have_in_common(of_row, of_steps):
    """bool (B, T): whether a step has one of its row's categories; 0 is none.

    Args:
        of_row: int64 (B, G).  of_steps: int64 (B, T, G).
    """
    same = of_row[:, None, :, None] == of_steps[:, :, None, :]
    return tf.reduce_any(same & (of_row != 0)[:, None, :, None], axis=(2, 3))
