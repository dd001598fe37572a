"""Rows in the order in which they come, from raw files, a folder that is watched, standard input, or prepared data.

A place in the stream is a plain value, {file: rows of it that are done}, so a run goes on where it stopped.
"""

import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rectrain.config import DataConfig
from rectrain.data import reading
from rectrain.data.blocks import Block
from rectrain.data.columns import Want, check_header, kinds, special_columns
from rectrain.data.manifest import Prepared
from rectrain.data.readers.rows import STANDARD_INPUT
from rectrain.data.row_groups import Rows, read_rows, row_groups
from rectrain.data.sources import find_files
from rectrain.data.split import SPLITS
from rectrain.errors import InputError
from rectrain.online.features import HashedFeatures, halves, packed_rows
from rectrain.online.quarantine import Quarantine

_PARTS_AHEAD = 2
_POLL_S = 0.2
Done = dict[str, int]


@dataclass(frozen=True)
class Part:
    """Some rows of one file, one after another; there may be none."""

    rows: Rows
    origins: np.ndarray  # int64 (N,), index of each row within its file
    file: str
    end: int  # rows of the file that are done after these
    marks: dict  # of the quarantine, after these


class RawStream:
    """Raw files, one after another, hashed as they come."""

    def __init__(
        self, data: DataConfig, features: HashedFeatures, done: Done, bad_rows: Quarantine, watch_s: float | None
    ):
        self._data, self._features, self._done, self._bad_rows = data, features, done, bad_rows
        self._watch_s = watch_s
        self._wants: list[Want] = [*special_columns(data), *features.wants()]
        self.files = self._find()
        for path in self.files:
            self._check(path)

    def _find(self) -> list[Path]:
        return find_files(self._data, standard_input=True).files["all"]

    def _check(self, path: Path):
        if path != STANDARD_INPUT:
            check_header(self._wants, reading.column_names(path, self._data.format), path)

    def parts(self) -> Iterator[Part]:
        """All rows that are not done yet; waits for further files where a folder is watched."""
        seen: set[Path] = set()
        last_new = time.monotonic()
        files, fault = self.files, None
        while True:
            new = [path for path in files if path not in seen]
            for path in new:
                seen.add(path)
                yield from self._of_file(path)
                last_new = time.monotonic()
            if self._watch_s is None or time.monotonic() - last_new > self._watch_s:
                if fault is not None:
                    raise fault
                return
            if not new:
                time.sleep(_POLL_S)
            try:
                files, fault = self._find(), None
            except InputError as error:  # of a file that was just made, and is empty for a moment?
                files, fault = [], error

    def _of_file(self, path: Path) -> Iterator[Part]:
        name = file_key(path)
        before = end = self._done.get(name, 0)
        shift = before if path == STANDARD_INPUT else 0  # what was read from it does not come again
        skips = self._data.max_bad_rows > 0 and self._data.format.reader == "csv"
        extra = {"bad_rows": self._bad_rows} if skips else {}
        for block in reading.read(path, kinds(self._wants), self._data.format, **extra):
            end = shift + block.first_row + block.num_rows
            if end > before:
                for piece, rows, origins in self._encoded(_from_row(block, before - shift)):
                    done = shift + piece.first_row + piece.num_rows
                    yield Part(rows, shift + origins, name, done, self._bad_rows.marks())
        if end < before:
            raise InputError(
                f"{path} has {end:,} rows, but {before:,} were learned from already. Expected the same file, or one "
                "that has grown; give other rows another name, or leave the file out with data.files."
            )
        yield Part({}, np.zeros(0, np.int64), name, end, self._bad_rows.marks())  # rows may be bad behind the last good

    def _encoded(self, block: Block) -> Iterator[tuple[Block, Rows, np.ndarray]]:
        """The block in pieces, without the rows that are wrong; whole where none is."""
        try:
            yield block, *packed_rows(block, self._data, self._features)
        except InputError as error:
            if self._data.max_bad_rows == 0:
                raise
            if block.num_rows > 1:
                for half in halves(block):
                    yield from self._encoded(half)
            else:
                self._bad_rows.add_parsed(block, str(error))
                yield block, {}, np.zeros(0, np.int64)


class PreparedStream:
    """The splits of a prepared data set one after another, as the raw files had them."""

    def __init__(self, prepared: Prepared, data: DataConfig, done: Done):
        if data.split.by != "order":
            raise InputError(
                f"online.source=prepared: data.split.by={data.split.by} does not keep the rows in the order in which "
                "they came. Set data.split.by=order, or online.source=raw."
            )
        self._prepared, self._done = prepared, done

    def parts(self) -> Iterator[Part]:
        for split in SPLITS:
            shards = self._prepared.shards(split) if self._prepared.rows(split) else []
            for shard in shards:
                first = 0
                for group in row_groups([shard]):
                    name, end = file_key(shard), first + group.num_rows
                    before = self._done.get(name, 0)
                    if end > before:
                        skipped = max(before - first, 0)
                        rows = {
                            key: column[skipped:] for key, column in read_rows(self._prepared.schema, group).items()
                        }
                        yield Part(rows, np.arange(first + skipped, end), name, end, {})
                    first = end


def file_key(path: Path) -> str:
    return str(path) if path == STANDARD_INPUT else str(path.resolve())


def _from_row(block: Block, first: int) -> Block:
    skipped = max(first - block.first_row, 0)
    if not skipped:
        return block
    columns = {name: column.slice(skipped) for name, column in block.columns.items()}
    return Block(columns, block.num_rows - skipped, block.path, block.first_row + skipped, block.describe_row)


class Ahead:
    """Makes parts in a thread while others are learned from; a stop is heard while the thread waits for rows."""

    def __init__(self, parts: Iterator[Part], stopped: Callable[[], bool]):
        self._parts, self._stopped = parts, stopped
        self._queue: queue.Queue = queue.Queue(_PARTS_AHEAD)

    def __iter__(self) -> Iterator[Part]:
        # A daemon: where standard input says nothing, the thread cannot be ended.
        threading.Thread(target=self._fill, daemon=True, name="stream").start()
        while not self._stopped():
            try:
                item = self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if self._stopped():
                return
            if isinstance(item, BaseException):
                raise item
            if item is None:
                return
            yield item

    def _fill(self):
        try:
            for part in self._parts:
                self._put(part)
            self._put(None)
        except BaseException as error:  # raised where the parts are used
            self._put(error)

    def _put(self, item):
        while not self._stopped():
            try:
                self._queue.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return


class Buffer:
    """Rows that are not learned from yet, taken in pieces of any size."""

    def __init__(self, done: Done):
        self.done = dict(done)
        self.marks: dict = {}
        self._parts: list[Part] = []
        self.num_rows = 0

    def add(self, part: Part):
        self.marks = part.marks
        self.done[part.file] = max(part.end, self.done.get(part.file, 0))
        if len(part.origins):
            self._parts.append(part)
            self.num_rows += len(part.origins)

    def take(self, num_rows: int) -> Rows:
        """The next `num_rows` rows, or all where there are fewer."""
        taken: list[Rows] = []
        left = min(num_rows, self.num_rows)
        self.num_rows -= left
        while left:
            part = self._parts[0]
            here = min(left, len(part.origins))
            taken.append({name: column[:here] for name, column in part.rows.items()})
            rest = dataclasses.replace(
                part, rows={n: c[here:] for n, c in part.rows.items()}, origins=part.origins[here:]
            )
            self._parts[:1] = [rest] if len(rest.origins) else []
            left -= here
        if len(taken) == 1:
            return taken[0]
        return {name: np.concatenate([rows[name] for rows in taken]) for name in taken[0]}

    def place(self) -> Done:
        """Where a run would go on that has learned from all rows taken so far."""
        place = dict(self.done)
        for part in reversed(self._parts):
            place[part.file] = int(part.origins[0])
        return place
