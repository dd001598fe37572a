"""Prepared parquet -> packed batches.

The way of a row: row groups are read in a seeded order, and each row is put into its seeded place in a window of about
`shuffle_rows` rows, of which TensorFlow cuts batches without a copy; histories are read from their store as a batch is
cut. Python runs once a row group, and once a batch where there are histories, never once a row; the next window, that
of the next epoch too, is made ready while the device works on the present one. The order is a pure function of (seed,
epoch).
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rectrain.data.row_groups import RowGroup, Rows, count_rows, no_rows, part, read_rows, row_groups, share, slice_rows
from rectrain.memory import keep_freed_memory
from rectrain.schema import Schema

if TYPE_CHECKING:
    from rectrain.data.history_views import HistoryViews

_PREFETCHED_BATCHES = 8
_HISTORY_THREADS = 2
_ALIGNMENT = 64  # bytes: from there on TensorFlow takes a NumPy array without a copy


@dataclass(frozen=True)
class Shuffle:
    """Which order an epoch has, and how many of them follow each other without a pause."""

    seed: int
    epoch: int  # the first one
    window: int  # rows, of all readers together
    num_epochs: int = 1


@dataclass(frozen=True)
class Readers:
    """Who reads the rows of an epoch, side by side: each shuffles a part of the files of its own.

    Reader k gives the k-th share of each batch: how many there are decides what a batch holds, not where they are.
    """

    number: int
    here: range  # those of this process


ALONE = Readers(1, range(1))


def batches(
    schema: Schema,
    shards: list[Path],
    batch_size: int,
    shuffle: Shuffle | None = None,
    skip: int = 0,
    views: "HistoryViews | None" = None,
    readers: Readers = ALONE,
):
    """The rows of a split, each once an epoch, as a tf.data.Dataset of packed batches; an epoch's last may be short.

    Args:
        shuffle: None keeps the order of the files, for one epoch.
        skip: batches to leave out at the start.
        views: the histories that are read; None: none.
        readers: of each batch the shares of the readers that are here; without `shuffle`, their parts of the files.
    """
    groups = row_groups(shards)
    lanes = [Lane(_rows_here(groups, readers), batch_size)]
    if shuffle is not None:
        lanes = shuffled_lanes(groups, batch_size, shuffle, readers)
    dataset = _side_by_side([_batches_of(schema, groups, lane, shuffle, skip) for lane in lanes])
    if views is not None:
        dataset = dataset.map(lambda batch: _with_histories(batch, views), num_parallel_calls=_HISTORY_THREADS)
    return dataset.prefetch(_PREFETCHED_BATCHES)


@dataclass(frozen=True)
class Lane:
    """What one reader reads."""

    groups: list[RowGroup]
    batch_size: int  # of its shares
    num_batches: int = 1  # of an epoch
    window: int = 1  # rows
    key: tuple[int, ...] = ()  # of its random numbers, behind seed and epoch

    def shuffled(self, seed: int, epoch: int) -> tuple[list[RowGroup], np.random.Generator]:
        """The row groups in the order of an epoch, and what its windows are shuffled by."""
        rng = np.random.default_rng([seed, epoch, *self.key])
        return [self.groups[i] for i in rng.permutation(len(self.groups))], rng


def _rows_here(groups: list[RowGroup], readers: Readers) -> list[RowGroup]:
    start, stop = (k * count_rows(groups) // readers.number for k in (readers.here.start, readers.here.stop))
    return part(groups, range(start, stop))


def shuffled_lanes(groups: list[RowGroup], batch_size: int, shuffle: Shuffle, readers: Readers) -> list[Lane]:
    """Of the readers that are here, each the rows that its shares of all batches add up to."""
    number, (full, tail) = readers.number, divmod(count_rows(groups), batch_size)
    shares = [len(share(batch_size, number, k)) for k in range(number)]
    ends = [0, *accumulate(full * size + len(share(tail, number, k)) for k, size in enumerate(shares))]
    return [
        Lane(
            part(groups, range(ends[k], ends[k + 1])),
            shares[k],
            full + (tail > 0),
            max(shuffle.window // number, 1),
            (k,) if number > 1 else (),
        )
        for k in readers.here
    ]


def _side_by_side(lanes: list):
    import tensorflow as tf

    if len(lanes) == 1:
        return lanes[0]
    return tf.data.Dataset.zip(*lanes).map(
        lambda *shares: {name: tf.concat([share[name] for share in shares], axis=0) for name in shares[0]}
    )


def _batches_of(schema: Schema, groups: list[RowGroup], lane: Lane, shuffle: Shuffle | None, skip: int):
    """A tf.data.Dataset of the batches of one reader; a window without rows is a batch without rows."""
    import tensorflow as tf

    empty = no_rows(schema, groups)

    def windows():
        keep_freed_memory()  # again: the first generator makes TensorFlow 2.21 set glibc's trim threshold to 128 KiB
        return _skip_batches(_epochs(schema, lane, shuffle, empty), skip, lane.batch_size)

    def cut(rows):
        num_batches = tf.maximum(-(-tf.shape(rows["labels"], tf.int64)[0] // lane.batch_size), 1)

        def batch(i):
            start, stop = i * lane.batch_size, (i + 1) * lane.batch_size
            return {name: column[start:stop] for name, column in rows.items()}

        return tf.data.Dataset.range(num_batches).map(batch)

    return tf.data.Dataset.from_generator(windows, output_signature=_row_specs(empty)).prefetch(1).flat_map(cut)


def _with_histories(batch: dict, views: "HistoryViews") -> dict:
    """The batch with the steps of its rows' histories, (B, T) each; T differs from batch to batch."""
    import tensorflow as tf

    names, kinds = list(batch), _history_specs(views)

    def read(*columns):
        found = views.read(dict(zip(names, columns, strict=True)))
        return [found[name] for name in kinds]

    found = tf.numpy_function(read, [batch[name] for name in names], [spec.dtype for spec in kinds.values()])
    for tensor, spec in zip(found, kinds.values(), strict=True):
        tensor.set_shape(spec.shape)
    return {**batch, **dict(zip(kinds, found, strict=True))}


def batch_specs(schema: Schema, shards: list[Path], views: "HistoryViews | None") -> dict:
    """{name: tf.TensorSpec} of what `batches` makes."""
    specs = _row_specs(no_rows(schema, row_groups(shards)))
    return specs if views is None else specs | _history_specs(views)


def _row_specs(empty: Rows) -> dict:
    import tensorflow as tf

    return {name: tf.TensorSpec((None, *column.shape[1:]), column.dtype) for name, column in empty.items()}


def _history_specs(views: "HistoryViews") -> dict:
    import tensorflow as tf

    specs: dict[str, tf.TensorSpec] = {}
    for history in views.histories:
        specs |= {f"{history.name}_{step.name}": tf.TensorSpec((None, None), tf.int32) for step in history.steps}
        specs[f"{history.name}_valid"] = tf.TensorSpec((None, None), tf.bool)
    return specs


def _epochs(schema: Schema, lane: Lane, shuffle: Shuffle | None, empty: Rows) -> Iterator[Rows]:
    """Windows of whole batches; an epoch's last one ends with what is left, or has no row where other readers have."""
    if shuffle is None:
        yield from _windows(schema, lane.groups, lane.batch_size, 1, None) if lane.groups else [empty]
        return
    for epoch in range(shuffle.epoch, shuffle.epoch + shuffle.num_epochs):
        order, rng = lane.shuffled(shuffle.seed, epoch)
        yield from _windows(schema, order, lane.batch_size, lane.window, rng)
        if count_rows(order) <= (lane.num_batches - 1) * lane.batch_size:
            yield empty


def _windows(schema: Schema, groups: list[RowGroup], batch_size: int, size: int, rng) -> Iterator[Rows]:
    """Row groups joined until they hold `size` rows. Rows beyond the last whole batch go on into the next window."""
    left_over: list[Rows] = []
    for window in plan_windows(groups, batch_size, size, rng):
        rows = join_window(schema, window, left_over)
        if window.num_whole:
            yield slice_rows(rows, 0, window.num_whole)
        left_over = [copy_rows(rows, window.num_whole, window.num_rows)]


@dataclass(frozen=True)
class Window:
    """Row groups whose rows are joined and shuffled together, behind the rows that the window before has left over."""

    groups: list[RowGroup]
    num_rows: int  # with those left over
    num_whole: int  # rows of whole batches, at the end of an epoch all; those at places from there on are left over
    places: np.ndarray | None  # int (num_rows,), of the joined rows; None: as they are


def plan_windows(groups: list[RowGroup], batch_size: int, size: int, rng) -> Iterator[Window]:
    """The windows of one epoch, without reading a row."""
    num_left = 0
    for members in _joined_groups(groups, size):
        num_rows = num_left + count_rows(members)
        num_whole = num_rows if members[-1] is groups[-1] else num_rows // batch_size * batch_size
        yield Window(members, num_rows, num_whole, None if rng is None else rng.permutation(num_rows))
        num_left = num_rows - num_whole


def join_window(schema: Schema, window: Window, left_over: list[Rows]) -> Rows:
    """All rows of a window in their places."""
    pieces = chain(left_over, (read_rows(schema, group) for group in window.groups))
    return _joined(pieces, window.num_rows, window.places)


def copy_rows(rows: Rows, start: int, stop: int) -> Rows:
    """A part of rows that does not keep the others in memory."""
    return {name: column.copy() for name, column in slice_rows(rows, start, stop).items()}


def _joined_groups(groups: list[RowGroup], size: int) -> Iterator[list[RowGroup]]:
    members: list[RowGroup] = []
    for group in groups:
        members.append(group)
        if sum(g.num_rows for g in members) >= size or group is groups[-1]:
            yield members
            members = []


def _joined(pieces: Iterable[Rows], num_rows: int, places: np.ndarray | None) -> Rows:
    """The rows one after the other, or the k-th of them at places[k]."""
    joined: Rows = {}
    start = 0
    for rows in pieces:
        stop = start + len(rows["labels"])
        for name, column in rows.items():
            if name not in joined:
                joined[name] = _aligned((num_rows, *column.shape[1:]), column.dtype)
            here = slice(start, stop) if places is None else places[start:stop]
            _whole_rows(joined[name])[here] = _whole_rows(column)
        start = stop
    return joined


def _whole_rows(column: np.ndarray) -> np.ndarray:
    """(N,), each row one item: NumPy puts those into place faster than rows of several."""
    if column.ndim == 1 or column.shape[1] == 0:
        return column
    return np.ascontiguousarray(column).view(np.dtype((np.void, column.shape[1] * column.itemsize)))[:, 0]


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, "uint8")
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def _skip_batches(windows: Iterator[Rows], num_batches: int, batch_size: int) -> Iterator[Rows]:
    for rows in windows:
        size = len(rows["labels"])
        there = max(math.ceil(size / batch_size), 1)
        here = min(num_batches, there)
        num_batches -= here
        if here < there:
            yield slice_rows(rows, here * batch_size, size)
