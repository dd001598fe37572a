"""Batches by their number, in any order: what a worker of a cluster is asked for.

They are the batches that `batches` makes one after the other. Of a split one window, or one row group, is in memory.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rectrain.data.batches import (
    Lane,
    Readers,
    Shuffle,
    Window,
    copy_rows,
    join_window,
    plan_windows,
    shuffled_lanes,
)
from rectrain.data.row_groups import RowGroup, Rows, count_rows, no_rows, read_rows, row_groups, slice_rows
from rectrain.schema import Schema

if TYPE_CHECKING:
    from rectrain.data.history_views import HistoryViews


class ShuffledBatches:
    """Those of training, numbered through the epochs.

    Going on within a window costs nothing, going on to the next one reads its row groups. A window further on also
    needs the few rows that the one before it leaves over, and reads the row groups in which they lie.
    """

    def __init__(
        self,
        schema: Schema,
        shards: list[Path],
        batch_size: int,
        *,
        seed: int,
        window: int,
        num_readers: int,
        views: "HistoryViews | None",
    ):
        groups = row_groups(shards)
        self.views = views
        self._num_epoch = -(-count_rows(groups) // batch_size)  # batches
        readers = Readers(num_readers, range(num_readers))
        lanes = shuffled_lanes(groups, batch_size, Shuffle(seed, 0, window), readers)
        empty = no_rows(schema, groups)
        self._lanes = [_LaneByNumber(schema, lane, seed, empty) for lane in lanes]
        self._lock = threading.Lock()

    def batch(self, number: int) -> Rows:
        epoch, number = divmod(number, self._num_epoch)
        with self._lock:  # batches are asked for ahead
            rows = _joined([lane.share(epoch, number) for lane in self._lanes])
        return rows if self.views is None else rows | self.views.read(rows)


class _LaneByNumber:
    def __init__(self, schema: Schema, lane: Lane, seed: int, empty: Rows):
        self.schema, self.lane, self.seed, self.empty = schema, lane, seed, empty
        self._epoch = -1
        self._places: Iterator[_Placed] = iter(())
        self._present: _Placed | None = None
        self._rows: Rows = {}

    def share(self, epoch: int, number: int) -> Rows:
        """The rows that a reader gives to a batch of an epoch; the last one may have none of it."""
        row = number * self.lane.batch_size
        if row >= count_rows(self.lane.groups):
            return self.empty
        placed = self._window_with(epoch, row)
        start = row - placed.first_row
        return slice_rows(self._rows, start, min(start + self.lane.batch_size, placed.window.num_whole))

    def _window_with(self, epoch: int, row: int) -> "_Placed":
        if epoch != self._epoch or self._present is None or row < self._present.first_row:
            self._begin(epoch)
        before, present = None, self._present
        while present is None or row >= present.first_row + present.window.num_whole:
            before, present = present, next(self._places)
        if present is not self._present:
            self._load(present, follows=before is not None and before is self._present)
        return present

    def _begin(self, epoch: int):
        order, rng = self.lane.shuffled(self.seed, epoch)
        self._epoch, self._present, self._rows = epoch, None, {}
        self._places = _placed(order, plan_windows(order, self.lane.batch_size, self.lane.window, rng))

    def _load(self, placed: "_Placed", *, follows: bool):
        left_over = []
        if follows:
            assert self._present is not None
            left_over = [copy_rows(self._rows, self._present.window.num_whole, self._present.window.num_rows)]
        elif len(placed.left_over):
            left_over = [_rows_at(self.schema, placed.order, placed.left_over)]
        self._rows = {}
        self._rows = join_window(self.schema, placed.window, left_over)
        self._present = placed


class _Placed:
    """A window, which row of the epoch its first one is, and where the rows come from that were left over."""

    def __init__(self, window: Window, first_row: int, left_over: np.ndarray, order: list[RowGroup]):
        self.window, self.first_row, self.left_over, self.order = window, first_row, left_over, order


def _placed(order: list[RowGroup], windows: Iterator[Window]) -> Iterator[_Placed]:
    first_row, next_source = 0, 0
    left_over = np.zeros(0, np.int64)  # rows of the epoch, counted as its row groups follow each other
    for window in windows:
        yield _Placed(window, first_row, left_over, order)
        num_new = window.num_rows - len(left_over)
        sources = np.concatenate([left_over, np.arange(next_source, next_source + num_new)])
        assert window.places is not None
        behind = np.flatnonzero(window.places >= window.num_whole)
        left_over = sources[behind[np.argsort(window.places[behind])]]
        first_row, next_source = first_row + window.num_whole, next_source + num_new


def _rows_at(schema: Schema, order: list[RowGroup], sources: np.ndarray) -> Rows:
    """Single rows of the epoch."""
    firsts = np.cumsum([0, *(group.num_rows for group in order)])
    group_of = np.searchsorted(firsts, sources, side="right") - 1
    found: Rows = {}
    for group in np.unique(group_of):
        here = group_of == group
        for name, column in read_rows(schema, order[group]).items():
            if name not in found:
                found[name] = np.empty((len(sources), *column.shape[1:]), column.dtype)
            found[name][here] = column[sources[here] - firsts[group]]
    return found


class FileBatches:
    """Those of a split in the order of its files."""

    def __init__(self, schema: Schema, shards: list[Path], batch_size: int, *, views: "HistoryViews | None"):
        self.schema, self.batch_size, self.views = schema, batch_size, views
        self._groups = row_groups(shards)
        self._firsts = np.cumsum([0, *(group.num_rows for group in self._groups)])
        self._lock = threading.Lock()
        self._kept: tuple[int, Rows] = (-1, {})

    def batch(self, number: int) -> Rows:
        start = number * self.batch_size
        stop = min(start + self.batch_size, int(self._firsts[-1]))
        first, last = np.searchsorted(self._firsts, [start, stop - 1], side="right") - 1
        with self._lock:
            parts = [self._part(group, start, stop) for group in range(first, last + 1)]
        rows = _joined(parts)
        return rows if self.views is None else rows | self.views.read(rows)

    def _part(self, group: int, start: int, stop: int) -> Rows:
        if self._kept[0] != group:
            self._kept = group, read_rows(self.schema, self._groups[group])
        first = int(self._firsts[group])
        return {name: column[max(start - first, 0) : stop - first] for name, column in self._kept[1].items()}


def _joined(parts: list[Rows]) -> Rows:
    return parts[0] if len(parts) == 1 else {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
