"""Raw rows -> a prepared dataset: find the files, fit on the training rows, encode, write; or find it done.

Two passes over the raw files: the first checks every row's labels and fits vocabularies and transforms, the second
encodes. A split by order, by fractions of time or by last rows is preceded by a count, and labels of later events by a
search for these; histories are indexed between the two. Memory follows the vocabularies and one block, never the rows.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rectrain import registry
from rectrain.config import DataConfig
from rectrain.data import conditions, manifest, split, targets
from rectrain.data.blocks import Block
from rectrain.data.columns import Want, later_labels, select, special_columns
from rectrain.data.counter import NumberCounter
from rectrain.data.manifest import Prepared
from rectrain.data.passes import RawFiles
from rectrain.data.plan import Features, number_labels
from rectrain.data.shards import ShardWriter, to_table
from rectrain.data.sources import Sources, find_files
from rectrain.data.split import SPLITS, Assign
from rectrain.data.tally import Tally
from rectrain.data.threads import in_background, load_early
from rectrain.data.writing import explained, locked, whole_folder
from rectrain.errors import InputError

if TYPE_CHECKING:
    from rectrain.data.log import Log

Say = Callable[[str], object]


def prepare(data: DataConfig, *, say: Say) -> Prepared:
    """The prepared dataset of this config, made now unless it is there. `say` prints a line to the user.

    Raises:
        InputError: the config does not fit the files, a row is wrong, or the folder cannot be written.
    """
    registry.check_name("data/readers", data.format.reader, "data.format.reader", "read")
    features = Features(data)
    split.check(data)
    sources = find_files(data)
    raw = RawFiles(sources.files, data.format, say)
    raw.check([*special_columns(data), *features.wants()])
    key = manifest.key(data, sources.files, raw.companions())
    root = Path(data.prepared_dir)
    folder = root / manifest.folder_name(data, key)
    if not _is_there(folder, key, say):
        with explained(root, "data.prepared_dir"):
            root.mkdir(parents=True, exist_ok=True)
            with locked(root / f".{folder.name}.lock", lambda: say(f"waiting: another process prepares {folder}")):
                if not _is_there(folder, key, say):
                    with whole_folder(folder) as temporary:
                        later = _later(data)
                        log = _log(data, features, later)
                        _Recipe(data, features, sources, raw, key, later, log).run(temporary)
    return Prepared.load(folder).with_lengths(data.history)


def _later(data: DataConfig) -> targets.Later:
    if not later_labels(data):
        return {}
    from rectrain.data import later  # loads numba

    return later.of(data)


def _log(data: DataConfig, features: Features, later: targets.Later) -> "Log | None":
    if data.history is None:
        return None
    from rectrain.data.log import Log  # loads numba, which takes a third of a second

    return Log(data, features, later)


def _is_there(folder: Path, key: dict, say: Say) -> bool:
    if not folder.exists():
        return False
    if Prepared.load(folder).manifest["key"] != key:
        raise InputError(f"{folder} holds a dataset of another config. Remove the folder, or set data.prepared_dir.")
    say(f"already prepared: {folder}")
    return True


@dataclasses.dataclass(frozen=True)
class _Recipe:
    data: DataConfig
    features: Features
    sources: Sources
    raw: RawFiles
    key: dict
    later: targets.Later
    log: "Log | None"

    def run(self, folder: Path):
        """Fills the folder; the manifest comes last."""
        load_early("rectrain.data.values")  # while rows are counted
        if self.later:
            self._find_later()
        assign = self._assign()
        tally = self._fit(assign)
        tally.check(self.data, split.expected(self.data, list(self.sources.files)), self.raw.say)
        schema = self.features.finish(folder)
        (folder / manifest.SCHEMA).write_text(schema.to_json(), encoding="utf-8")
        if self.log is not None:
            self._index(self.log, folder)
        self._encode(assign, folder)
        if self.log is not None:
            self.log.remove_what_is_temporary()
        self._check_unchanged()
        self._write_manifest(folder, tally)

    def _wants(self) -> list[Want]:
        return [*special_columns(self.data), *self.features.wants()]

    def _find_later(self):
        for _, _, block in self.raw.blocks(special_columns(self.data), "finding later events"):
            for events in self.later.values():
                events.add(block)
        for events in self.later.values():
            events.finish()

    def _assign(self) -> Assign:
        config = self.data.split
        if config.by == "files":
            return split.by_files
        if config.by == "order":
            return split.by_order(config, self.raw.count_rows())
        if config.by == "random":
            return split.by_random(config)
        if config.by == "hash":
            return split.by_hash(config)
        if config.by == "last":
            return self._by_last()
        if config.valid_from is not None:
            return split.by_moments(self.data)
        return split.by_time_fractions(self.data, self._count_times())

    def _count_times(self) -> pa.Table:
        assert self.data.time is not None
        counter = NumberCounter()
        for _, _, block in self.raw.blocks(special_columns(self.data), "counting times"):
            counter.add(pa.array(targets.times(block, self.data.time)))
        return counter.counts()

    def _by_last(self) -> Assign:
        from rectrain.data.last_rows import LastRows  # loads numba

        assert self.data.time is not None
        assert self.data.split.column is not None
        last = LastRows()
        for _, first, block in self.raw.blocks(special_columns(self.data), "finding last rows"):
            rows = np.flatnonzero(self._is_row(block))
            if rows.size:
                part = select(block, rows)
                users = split.keys(part, self.data.split.column)
                last.add(users, targets.times(part, self.data.time), first + rows)
        return lambda _, first, block: last.codes(np.arange(first, first + block.num_rows))

    def _is_row(self, block: Block) -> np.ndarray:
        """bool (N,): which rows of a block are rows of the data set."""
        is_row = conditions.holds(block, self.data.rows, "data.rows")
        if self.data.drop_inconsistent:
            is_row &= targets.consistent(targets.labels(block, self.data, self.later), self.data)
        return is_row

    def _fit(self, assign: Assign) -> Tally:
        negatives = self.data.negatives.per_positive if self.data.negatives else 0
        tally = Tally(self.data.labels, negatives, number_labels(self.data))
        for name, first, block in self.raw.blocks(self._wants(), "fitting"):
            codes = assign(name, first, block)
            rows = np.flatnonzero(self._is_row(block))
            if rows.size:
                tally.add(codes[rows], targets.read(select(block, rows), self.data, self.later)["labels"])
            train = np.flatnonzero(codes == 0)
            if train.size:
                self.features.observe(select(block, train))
            if self.log is not None:
                self.log.observe(block, codes == 0)
        return tally

    def _index(self, log: "Log", folder: Path):
        log.begin(folder)
        for _, _, block in self.raw.blocks(self._wants(), "indexing histories"):
            log.index(block)
        log.finish()

    def _encode(self, assign: Assign, folder: Path):
        writers = [ShardWriter(folder, name) for name in SPLITS]
        with in_background() as run:  # a block is compressed and written while the next one is read and encoded
            for name, first, block in self.raw.blocks(self._wants(), "encoding"):
                codes = np.where(self._is_row(block), assign(name, first, block), -1)
                for code, writer in enumerate(writers):
                    rows = np.flatnonzero(codes == code)
                    if rows.size:
                        run(writer.write, to_table(self._packed(select(block, rows), first + rows)))
        for writer in writers:
            writer.close()

    def _packed(self, block: Block, rows: np.ndarray) -> dict:
        if self.log is not None:
            return self.log.rows(block, rows)
        return {**self.features.encode(block), **targets.read(block, self.data, self.later)}

    def _check_unchanged(self):
        if manifest.key(self.data, self.sources.files, self.raw.companions()) != self.key:
            raise InputError("the raw files (data.files) changed while they were read. Run again when they are whole.")

    def _write_manifest(self, folder: Path, tally: Tally):
        sample = None if self.sources.sample is None else dataclasses.asdict(self.sources.sample)
        content = manifest.build(
            self.key, self.sources.kind, sample, tally.rows(), tally.positives(), manifest.num_bytes(folder)
        )
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (folder / manifest.MANIFEST).write_text(text, encoding="utf-8")
