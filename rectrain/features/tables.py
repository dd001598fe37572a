"""Reading rows of a table so that a step costs what its batch costs.

Shape letters: B batch, F fields, T values of a multi-valued feature, N ids, U distinct ids, D width of a row.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from rectrain.optimizers.gradients import sum_rows
from rectrain.schema import Schema

_ROWS_AT_A_TIME = 65_536


@dataclass(frozen=True)
class Bag:
    """Several table rows a row, which become one field: the names of two tensors of the batch."""

    ids: str
    valid: str


def value_bags(schema: Schema) -> list[Bag]:
    """The multi-valued features."""
    return [Bag(feature.name, f"{feature.name}_valid") for feature in schema.multi_valued]


def step_bags(schema: Schema) -> list[Bag]:
    """The steps of short histories that share the rows of a feature."""
    return [
        Bag(f"{history.name}_{step.name}", f"{history.name}_valid")
        for history in schema.histories
        for step in history.steps
        if history.role == "short" and step.feature is not None
    ]


def look_up_fields(table: keras.Variable, batch, num_categorical: int, bags: list[Bag], *, training: bool):
    """One row of the table for each of the first categorical columns; the mean of its real values for each bag.

    Returns:
        float32 (B, F, D), categorical fields first.
    """
    ids = [batch["categorical"][:, :num_categorical]] if num_categorical else []
    ids += [batch[bag.ids] for bag in bags]
    parts = look_up_together(table, ids, training=training)
    means = [
        average_valid(values_BTD, batch[bag.valid])[:, None]
        for bag, values_BTD in zip(bags, parts[len(parts) - len(bags) :], strict=True)
    ]
    return ops.concatenate([*parts[: len(parts) - len(bags)], *means], axis=1)


def look_up_together(table: keras.Variable, ids: list, *, training: bool) -> list:
    """Rows of a table for several tensors of ids in one go, so that each row is read and updated once.

    Args:
        ids: int32 (B, T), T of each its own.
    Returns:
        float32 (B, T, D) for each of them.
    """
    rows = look_up(table, ops.concatenate(ids, axis=1), training=training)
    # Split, not sliced: the gradient of a slice is a tensor of zeros that is written and added for each of them.
    parts = tf.split(rows, [ops.shape(part)[1] for part in ids], axis=1)
    return [
        tf.ensure_shape(part, (None, part_ids.shape[1], table.shape[1]))  # lost where one T is dynamic
        for part, part_ids in zip(parts, ids, strict=True)
    ]


def average_valid(x, valid):
    """Mean of float (B, T, D) over the steps where bool (B, T) is True; no such step gives zeros: float (B, D)."""
    valid_BT1 = ops.cast(valid, x.dtype)[..., None]
    return ops.sum(x * valid_BT1, axis=1) / ops.maximum(ops.sum(valid_BT1, axis=1), 1)


def look_up(table: keras.Variable, ids, *, training: bool):
    """Rows of `table` at `ids`; nothing else of it is read.

    In training each distinct row is read once and then handed out from a small matrix that stays in the cache. The
    gradient comes back the same way: one row for each distinct id, so that the optimizer has nothing left to merge.

    Args:
        table: float32 (rows, D).  ids: int32, any shape.
    Returns:
        float32 (*ids.shape, D); its gradient is a tf.IndexedSlices of distinct rows.
    """
    if not training:
        return _gather(table, ids)
    rows_U, position_N = tf.unique(tf.reshape(ids, [-1]))
    vectors_ND = _expand(_gather(table, rows_U), position_N)
    return ops.reshape(vectors_ND, (*ops.shape(ids), table.shape[1]))


def reader(table: keras.Variable) -> Callable:
    """Reads rows without a gradient, also within a tf.while_loop: int32 ids -> float32 (*ids.shape, D)."""
    copy = _own_copy(table)
    return lambda ids: tf.stop_gradient(copy.sparse_read(ids))


def _gather(table: keras.Variable, ids):
    return _own_copy(table).sparse_read(ids)


def _own_copy(table: keras.Variable) -> tf.Variable:
    """The replica's copy of a mirrored variable, which has no sparse read itself: tf.gather would read it whole."""
    variable = table._value  # `value` would be a tensor under bfloat16: the whole table, read and cast
    copies = variable.values if isinstance(variable, tf.distribute.DistributedValues) else (variable,)
    if tf.distribute.in_cross_replica_context():  # a layer is being built
        return copies[0]
    return next(copy for copy in copies if copy.handle is variable.handle)  # the first one's outside of the strategy


@tf.custom_gradient
def _expand(vectors_UD, position_N):
    """vectors_UD at position_N, float32 (N, D)."""
    num_distinct = tf.shape(vectors_UD)[0]

    def gradient(upstream_ND):
        return sum_rows(upstream_ND, position_N, num_distinct), None

    return tf.gather(vectors_UD, position_N), gradient


def normal_columns(shape: tuple[int, int], num_columns: int, stddev: float) -> np.ndarray:
    """float32 of `shape`: normal in the first columns, zero in the others; seeded by keras.utils.set_random_seed.

    Drawn piece by piece: TensorFlow's generator holds three more tensors of the table's size while it makes one.
    """
    rng = np.random.default_rng(random.getrandbits(64))
    table = np.zeros(shape, np.float32)
    for start in range(0, shape[0], _ROWS_AT_A_TIME):
        rows = table[start : start + _ROWS_AT_A_TIME, :num_columns]
        rows[:] = stddev * rng.standard_normal(rows.shape, np.float32)
    return table
