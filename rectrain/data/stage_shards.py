"""The last stage of a preparation: some shards of all, each from the files that hold its rows.

Letters: F files.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rectrain.data.blocks import Block
from rectrain.data.passes import RawFile
from rectrain.data.row_groups import share
from rectrain.data.shards import SHARD_ROWS, ShardWriter, shard_name
from rectrain.data.split import SPLITS, Assign
from rectrain.data.stage_job import Job
from rectrain.data.threads import in_background
from rectrain.errors import InputError


@dataclass(frozen=True)
class Shard:
    """Rows `first` up to `stop` of a split. code: the split's position in SPLITS."""

    code: int
    number: int
    first: int
    stop: int

    @property
    def name(self) -> str:
        return shard_name(SPLITS[self.code], self.number)


class Shards:
    """All shards of a dataset.

    Args:
        rows_F3: rows of each split in each file.
    """

    def __init__(self, rows_F3: np.ndarray):
        self.ends_F3 = np.cumsum(rows_F3, axis=0)
        self.begins_F3 = self.ends_F3 - rows_F3
        self.all = sorted(self._of_all_splits(), key=self._place)

    def _of_all_splits(self) -> Iterator[Shard]:
        for code, total in enumerate(self.ends_F3[-1].tolist()):
            for number, first in enumerate(range(0, total, SHARD_ROWS)):
                yield Shard(code, number, first, min(first + SHARD_ROWS, total))

    def _place(self, shard: Shard) -> float:
        """Where in the files its first row is, so that shards side by side are made of the same files."""
        ends, begins = self.ends_F3[:, shard.code], self.begins_F3[:, shard.code]
        file = int(np.searchsorted(ends, shard.first, side="right"))
        return file + (shard.first - begins[file]) / (ends[file] - begins[file])

    def of_part(self, part: int, parts: int) -> list[Shard]:
        return [self.all[i] for i in share(len(self.all), parts, part - 1)]

    def are_in(self, file: RawFile, shards: list[Shard]) -> bool:
        """Whether a file holds rows of one of the shards."""
        begins, ends = self.begins_F3[file.index], self.ends_F3[file.index]
        return any(max(shard.first, begins[shard.code]) < min(shard.stop, ends[shard.code]) for shard in shards)


def write(job: Job, shards: Shards, chosen: list[Shard], assign: Assign, firsts_F: np.ndarray):
    """Reads the files that hold rows of the chosen shards, the last one no further than these go.

    Args:
        firsts_F: index of the first row of each file over all files.
    """
    files = [file for file in job.recipe.raw.all if shards.are_in(file, chosen)]
    aside = job.files.temporary()
    try:
        with in_background() as run:  # a block is written while the next one is read and encoded
            open_shards = _OpenShards(job, chosen, aside, run)
            for file, blocks in job.by_file(job.recipe.wants, "encoding", files):
                open_shards.begin_file(file, shards.begins_F3[file.index])
                for block in blocks:
                    open_shards.add(block, int(firsts_F[file.index]) + block.first_row, assign)
                    if open_shards.are_done():
                        return
                open_shards.check_all_came(shards.ends_F3[file.index])
    finally:
        shutil.rmtree(aside, ignore_errors=True)


class _OpenShards:
    """Shards that wait for rows; each takes its place as soon as it has all of them."""

    def __init__(self, job: Job, shards: list[Shard], aside: Path, run: Callable):
        self._job, self._aside, self._run = job, aside, run
        self._writers = {shard: ShardWriter(aside, SPLITS[shard.code], shard.number) for shard in shards}

    def begin_file(self, file: RawFile, begins_3: np.ndarray):
        """begins_3: rows of each split before the file."""
        self._file, self._at = file, begins_3.tolist()

    def add(self, block: Block, first: int, assign: Assign):
        """first: index of the block's first row over all files."""
        recipe = self._job.recipe
        codes = np.where(recipe.is_row(block), assign(self._file.split, first, block), -1)
        for code in range(len(SPLITS)):
            rows = np.flatnonzero(codes == code)
            at, self._at[code] = self._at[code], self._at[code] + rows.size
            for shard in [shard for shard in self._writers if shard.code == code]:
                own = rows[max(shard.first - at, 0) : max(shard.stop - at, 0)]
                if own.size:
                    self._run(self._writers[shard].write, recipe.packed(block, own, first))
                if shard.stop <= self._at[code]:
                    self._job.check_unchanged(self._file)
                    self._run(self._put, shard, self._writers.pop(shard))

    def _put(self, shard: Shard, writer: ShardWriter):
        writer.close()
        self._job.files.move(self._aside / shard.name, self._job.files.prepared / shard.name)

    def are_done(self) -> bool:
        return not self._writers

    def check_all_came(self, ends_3: np.ndarray):
        if self._at != ends_3.tolist():
            raise InputError(f"{self._file.path} has other rows than when it was fitted. Run all stages again.")
