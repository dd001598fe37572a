"""Prepared parquet -> packed batches.

The way of a row: row groups are read in a seeded order, and each row is put into its seeded place in a window of about
`shuffle_rows` rows, of which TensorFlow cuts batches without a copy; histories are read from their store as a batch is
cut. Python runs once a row group, and once a batch where there are histories, never once a row; the next window, that
of the next epoch too, is made ready while the device works on the present one. The order is a pure function of (seed,
epoch).
"""

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rectrain.data.shards import to_matrix
from rectrain.errors import InputError
from rectrain.memory import keep_freed_memory
from rectrain.schema import Schema

if TYPE_CHECKING:
    from rectrain.data.history_views import HistoryViews

Rows = dict[str, np.ndarray]  # packed columns of equal length

_PREFETCHED_BATCHES = 8
_HISTORY_THREADS = 2
_ALIGNMENT = 64  # bytes: from there on TensorFlow takes a NumPy array without a copy


@dataclass(frozen=True)
class RowGroup:
    path: Path
    index: int
    num_rows: int


@dataclass(frozen=True)
class Shuffle:
    """Which order an epoch has, and how many of them follow each other without a pause."""

    seed: int
    epoch: int  # the first one
    window: int  # rows
    num_epochs: int = 1


@contextlib.contextmanager
def whole(path: Path) -> Iterator[None]:
    """Turns what is wrong with a file of prepared data into an InputError."""
    try:
        yield
    except (OSError, LookupError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"{path} is damaged ({' '.join(str(error).split())}). Remove the folder of this prepared data set "
            "(data.prepared_dir); the next run prepares it again."
        ) from error


def row_groups(shards: list[Path]) -> list[RowGroup]:
    """All row groups of the shards, in file order."""
    groups = []
    for path in shards:
        with whole(path):
            metadata = pq.ParquetFile(path).metadata
        groups += [RowGroup(path, i, metadata.row_group(i).num_rows) for i in range(metadata.num_row_groups)]
    return groups


def batches(
    schema: Schema,
    shards: list[Path],
    batch_size: int,
    shuffle: Shuffle | None = None,
    skip: int = 0,
    views: "HistoryViews | None" = None,
):
    """The rows of a split, each once an epoch, as a tf.data.Dataset of packed batches; an epoch's last may be short.

    Args:
        shuffle: None keeps the order of the files, for one epoch.
        skip: batches to leave out at the start.
        views: the histories that are read; None: none.
    """
    import tensorflow as tf

    groups = row_groups(shards)

    def windows():
        keep_freed_memory()  # again: the first generator makes TensorFlow 2.21 set glibc's trim threshold to 128 KiB
        return _skip_batches(_epochs(schema, groups, batch_size, shuffle), skip, batch_size)

    def cut(rows):
        num_batches = -(-tf.shape(rows["labels"], tf.int64)[0] // batch_size)

        def batch(i):
            return {name: column[i * batch_size : (i + 1) * batch_size] for name, column in rows.items()}

        return tf.data.Dataset.range(num_batches).map(batch)

    dataset = tf.data.Dataset.from_generator(windows, output_signature=_row_specs(schema, groups))
    dataset = dataset.prefetch(1).flat_map(cut)
    if views is not None:
        dataset = dataset.map(lambda batch: _with_histories(batch, views), num_parallel_calls=_HISTORY_THREADS)
    return dataset.prefetch(_PREFETCHED_BATCHES)


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
    return _row_specs(schema, row_groups(shards)) | ({} if views is None else _history_specs(views))


def _row_specs(schema: Schema, groups: list[RowGroup]) -> dict:
    import tensorflow as tf

    rows = _empty_rows(schema, groups)
    return {name: tf.TensorSpec((None, *column.shape[1:]), column.dtype) for name, column in rows.items()}


def _history_specs(views: "HistoryViews") -> dict:
    import tensorflow as tf

    specs = {}
    for history in views.histories:
        specs |= {f"{history.name}_{step.name}": tf.TensorSpec((None, None), tf.int32) for step in history.steps}
        specs[f"{history.name}_valid"] = tf.TensorSpec((None, None), tf.bool)
    return specs


def _epochs(schema: Schema, groups: list[RowGroup], batch_size: int, shuffle: Shuffle | None) -> Iterator[Rows]:
    """Windows of whole batches; an epoch's last one ends with what is left."""
    if shuffle is None:
        yield from _windows(schema, groups, batch_size, 1, None)
        return
    for epoch in range(shuffle.epoch, shuffle.epoch + shuffle.num_epochs):
        order, rng = shuffled_epoch(groups, shuffle.seed, epoch)
        yield from _windows(schema, order, batch_size, shuffle.window, rng)


def _windows(schema: Schema, groups: list[RowGroup], batch_size: int, size: int, rng) -> Iterator[Rows]:
    """Row groups joined until they hold `size` rows. Rows beyond the last whole batch go on into the next window."""
    rest: list[Rows] = []
    for window in plan_windows(groups, batch_size, size, rng):
        rows = join_window(schema, window, rest)
        if window.num_whole:
            yield _part(rows, 0, window.num_whole)
        rest = [copied(rows, window.num_whole, window.num_rows)]


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
        num_rows = num_left + sum(group.num_rows for group in members)
        num_whole = num_rows if members[-1] is groups[-1] else num_rows // batch_size * batch_size
        yield Window(members, num_rows, num_whole, None if rng is None else rng.permutation(num_rows))
        num_left = num_rows - num_whole


def join_window(schema: Schema, window: Window, left_over: list[Rows]) -> Rows:
    """All rows of a window in their places."""
    pieces = chain(left_over, (read_rows(schema, group) for group in window.groups))
    return _joined(pieces, window.num_rows, window.places)


def copied(rows: Rows, start: int, stop: int) -> Rows:
    """A part of rows that does not keep the others in memory."""
    return {name: column.copy() for name, column in _part(rows, start, stop).items()}


def shuffled_epoch(groups: list[RowGroup], seed: int, epoch: int) -> tuple[list[RowGroup], np.random.Generator]:
    """The row groups in the order of an epoch, and what its windows are shuffled by."""
    rng = np.random.default_rng([seed, epoch])
    return [groups[i] for i in rng.permutation(len(groups))], rng


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


def _part(rows: Rows, start: int, stop: int) -> Rows:
    return {name: column[start:stop] for name, column in rows.items()}


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, "uint8")
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def _skip_batches(windows: Iterator[Rows], num_batches: int, batch_size: int) -> Iterator[Rows]:
    for rows in windows:
        size = len(rows["labels"])
        here = min(num_batches, math.ceil(size / batch_size))
        num_batches -= here
        if here * batch_size < size:
            yield _part(rows, here * batch_size, size)


def read_rows(schema: Schema, group: RowGroup) -> Rows:
    """One row group as packed columns."""
    with whole(group.path):
        return _packed(schema, pq.ParquetFile(group.path).read_row_group(group.index))


def _empty_rows(schema: Schema, groups: list[RowGroup]) -> Rows:
    return _packed(schema, pq.read_schema(groups[0].path).empty_table())


def _packed(schema: Schema, table: pa.Table) -> Rows:
    ragged = ragged_columns(schema)
    rows: Rows = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if name in ragged:
            valid, width, padding = ragged[name]
            values, lengths = column.flatten().to_numpy(zero_copy_only=False), np.diff(column.offsets.to_numpy())
            rows[name], rows[valid] = padded(values, lengths, width, padding)
        elif pa.types.is_fixed_size_binary(column.type):
            rows[name] = to_matrix(column, table.schema.field(name))
        else:
            rows[name] = column.to_numpy(zero_copy_only=False)
    rows.setdefault("weight", np.ones(table.num_rows, "float32"))
    return rows


def ragged_columns(schema: Schema) -> dict[str, tuple[str, int, int]]:
    """Name of each list column -> (name of its `valid`, width, id of padding)."""
    ragged = {f.name: (f"{f.name}_valid", f.max_length, f.offset) for f in schema.multi_valued}
    for history in schema.histories:
        if not history.from_log:
            valid = f"{history.name}_valid"
            ragged |= {f"{history.name}_{s.name}": (valid, history.max_length, s.offset) for s in history.steps}
    return ragged


def padded(values: np.ndarray, lengths: np.ndarray, width: int, padding: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids of all rows one after the other, (M,), as int32 ids and bool valid, both (N, width); lengths: int (N,)."""
    valid = np.arange(width) < lengths[:, None]
    ids = np.full(valid.shape, padding, np.int32)
    ids[valid] = values
    return ids, valid
