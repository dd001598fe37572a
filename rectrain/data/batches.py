"""Prepared parquet -> packed batches.

The way of a row: row groups are read in a seeded order, joined into windows of about `shuffle_rows` rows, shuffled
inside the window by NumPy, and cut into batches by TensorFlow. Python runs once a window, never once a row; the next
window is made ready while the device works on the present one. The order is a pure function of (seed, epoch).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rectrain.schema import MultiValued, Schema

Rows = dict[str, np.ndarray]  # packed columns of equal length

_PREFETCHED_BATCHES = 8


@dataclass(frozen=True)
class RowGroup:
    path: Path
    index: int
    num_rows: int


@dataclass(frozen=True)
class Shuffle:
    """Which order an epoch has."""

    seed: int
    epoch: int
    window: int  # rows


def row_groups(shards: list[Path]) -> list[RowGroup]:
    """All row groups of the shards, in file order."""
    groups = []
    for path in shards:
        metadata = pq.ParquetFile(path).metadata
        groups += [RowGroup(path, i, metadata.row_group(i).num_rows) for i in range(metadata.num_row_groups)]
    return groups


def batches(schema: Schema, shards: list[Path], batch_size: int, shuffle: Shuffle | None = None, skip: int = 0):
    """The rows of a split, each once, as a tf.data.Dataset of packed batches; the last one may be short.

    Args:
        shuffle: None keeps the order of the files.
        skip: batches to leave out at the start, which continues an epoch at that batch.
    """
    import tensorflow as tf

    groups = row_groups(shards)

    def windows():
        return _skip_rows(_whole_batches(_windows(schema, groups, shuffle), batch_size), skip * batch_size)

    def cut(window):
        num_batches = -(-tf.shape(window["labels"], tf.int64)[0] // batch_size)
        starts = tf.data.Dataset.range(num_batches)
        return starts.map(lambda i: {k: v[i * batch_size : (i + 1) * batch_size] for k, v in window.items()})

    signature = {
        name: tf.TensorSpec((None, *column.shape[1:]), column.dtype)
        for name, column in _empty_rows(schema, groups).items()
    }
    dataset = tf.data.Dataset.from_generator(windows, output_signature=signature)
    return dataset.prefetch(1).flat_map(cut).prefetch(_PREFETCHED_BATCHES)


def _windows(schema: Schema, groups: list[RowGroup], shuffle: Shuffle | None) -> Iterator[Rows]:
    if shuffle is None:
        yield from (read_rows(schema, g) for g in groups)
        return
    rng = np.random.default_rng([shuffle.seed, shuffle.epoch])
    held, num_held = [], 0
    for i in rng.permutation(len(groups)):
        held.append(read_rows(schema, groups[i]))
        num_held += groups[i].num_rows
        if num_held >= shuffle.window:
            yield _shuffled(_joined(held), rng)
            held, num_held = [], 0
    if held:
        yield _shuffled(_joined(held), rng)


def _shuffled(rows: Rows, rng) -> Rows:
    order = rng.permutation(len(rows["labels"]))
    return {name: column[order] for name, column in rows.items()}


def _joined(parts: list[Rows]) -> Rows:
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def _whole_batches(windows: Iterator[Rows], batch_size: int) -> Iterator[Rows]:
    """The same rows in the same order, cut so that only the very last batch is short."""
    rest = None
    for window in windows:
        rows = window if rest is None else _joined([rest, window])
        whole = len(rows["labels"]) // batch_size * batch_size
        if whole:
            yield {name: column[:whole] for name, column in rows.items()}
        rest = {name: column[whole:] for name, column in rows.items()}
    if rest is not None and len(rest["labels"]):
        yield rest


def _skip_rows(windows: Iterator[Rows], num_rows: int) -> Iterator[Rows]:
    for window in windows:
        here = min(num_rows, len(window["labels"]))
        num_rows -= here
        if here < len(window["labels"]):
            yield {name: column[here:] for name, column in window.items()}


def read_rows(schema: Schema, group: RowGroup) -> Rows:
    """One row group as packed columns."""
    return _packed(schema, pq.ParquetFile(group.path).read_row_group(group.index))


def _empty_rows(schema: Schema, groups: list[RowGroup]) -> Rows:
    return _packed(schema, pq.read_schema(groups[0].path).empty_table())


def _packed(schema: Schema, table: pa.Table) -> Rows:
    multi_valued = {f.name: f for f in schema.multi_valued}
    rows: Rows = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if name in multi_valued:
            rows[name], rows[f"{name}_valid"] = _padded(column, multi_valued[name])
        elif pa.types.is_fixed_size_list(column.type):
            rows[name] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size)
        else:
            rows[name] = column.to_numpy(zero_copy_only=False)
    rows.setdefault("weight", np.ones(table.num_rows, "float32"))
    return rows


def _padded(column: pa.ListArray, feature: MultiValued) -> tuple[np.ndarray, np.ndarray]:
    """Ragged lists as (ids, valid), both (rows, max_length)."""
    valid = np.arange(feature.max_length) < np.diff(column.offsets.to_numpy())[:, None]
    ids = np.full(valid.shape, feature.offset, "int32")
    ids[valid] = column.flatten().to_numpy(zero_copy_only=False)
    return ids, valid
