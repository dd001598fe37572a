"""Reading rows of a table so that a step costs what its batch costs.

Shape letters: B batch, F fields, T values of a multi-valued feature, N ids, U distinct ids, D width of a row.
"""

import functools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from rectrain.optimizers.gradients import sum_rows
from rectrain.optimizers.parts import Held, num_servers, parts_of, sharded
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
    parts = _parts(table)
    return lambda ids: tf.stop_gradient(_gather_parts(parts, ids))


def _gather(table: keras.Variable, ids):
    return _gather_parts(_parts(table), ids)


def _parts(table: keras.Variable) -> list[tf.Variable]:
    parts = parts_of(table._value)
    return parts if len(parts) > 1 else [_own_copy(table)]


def _gather_parts(parts: list[tf.Variable], ids):
    """Each server is asked for the rows that it holds, and nothing else travels."""
    if len(parts) == 1:
        return parts[0].sparse_read(ids)
    ids_N = tf.reshape(ids, [-1])
    firsts = np.cumsum([0, *(part.shape[0] for part in parts[:-1])])
    part_N = tf.cast(tf.searchsorted(tf.constant(firsts, ids.dtype), ids_N, side="right"), tf.int32) - 1
    asked = tf.dynamic_partition(ids_N, part_N, len(parts))
    places = tf.dynamic_partition(tf.range(tf.size(ids_N)), part_N, len(parts))
    rows = [part.sparse_read(of_part - int(first)) for part, of_part, first in zip(parts, asked, firsts, strict=True)]
    return tf.reshape(tf.dynamic_stitch(places, rows), (*ops.shape(ids), parts[0].shape[1]))


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


def add_table(layer: keras.layers.Layer, shape: tuple[int, int], num_normal: int, stddev: float) -> keras.Variable:
    """The weight "table" of a layer: normal in the first columns, zero in the others.

    It is seeded by keras.utils.set_random_seed, and has the same numbers on parameter servers, where it is made in
    parts that no other process ever holds.
    """
    if not num_servers():
        return layer.add_weight(
            shape=shape, initializer=lambda shape, dtype=None: normal_columns(shape, num_normal, stddev), name="table"
        )
    with keras.name_scope(layer.name, caller=layer):
        return Held(sharded(_spread(shape, num_normal, stddev), "table"), "table")


def normal_columns(shape: tuple[int, int], num_normal: int, stddev: float) -> np.ndarray:
    """float32 of `shape`: normal in the first columns, zero in the others."""
    table = np.zeros(shape, np.float32)
    for start, rows in _normal_rows(shape[0], num_normal, stddev):
        table[start : start + len(rows), :num_normal] = rows
    return table


def _normal_rows(num_rows: int, num_normal: int, stddev: float) -> Iterator[tuple[int, np.ndarray]]:
    """Drawn piece by piece: TensorFlow's generator holds three more tensors of the table's size while it makes one."""
    if not num_normal:
        return
    rng = np.random.default_rng(random.getrandbits(64))
    for start in range(0, num_rows, _ROWS_AT_A_TIME):
        yield start, stddev * rng.standard_normal((min(_ROWS_AT_A_TIME, num_rows - start), num_normal), np.float32)


def _spread(shape: tuple[int, int], num_normal: int, stddev: float) -> list[tf.Variable]:
    """Parts in the order of the rows, one a server, equal but for a row as TensorFlow's are."""
    num_parts = min(num_servers(), shape[0])
    sizes = [shape[0] // num_parts + (part < shape[0] % num_parts) for part in range(num_parts)]
    parts = [tf.Variable(functools.partial(tf.zeros, (size, shape[1])), name="table") for size in sizes]
    firsts = np.cumsum([0, *sizes])
    for start, rows in _normal_rows(shape[0], num_normal, stddev):
        padded = np.pad(rows, ((0, 0), (0, shape[1] - num_normal)))
        for part, first, size in zip(parts, firsts[:-1], sizes, strict=True):
            low, high = max(start, first), min(start + len(rows), first + size)
            if low < high:
                part.scatter_update(tf.IndexedSlices(padded[low - start : high - start], np.arange(low, high) - first))
    return parts
