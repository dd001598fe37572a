"""What a config makes of its raw files: which they are, what the prepared dataset is called, what becomes of a block.

`prepare` carries a recipe out in one process, `stages` in several.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rectrain import registry
from rectrain.config import DataConfig
from rectrain.data import conditions, manifest, split, targets
from rectrain.data.blocks import Block
from rectrain.data.columns import Want, select, special_columns
from rectrain.data.manifest import Prepared
from rectrain.data.passes import RawFiles
from rectrain.data.plan import Features, number_labels
from rectrain.data.shards import to_table
from rectrain.data.sources import Sources, find_files
from rectrain.data.tally import Tally
from rectrain.errors import InputError

if TYPE_CHECKING:
    from rectrain.data.log import Log

Say = Callable[[str], object]


@dataclass(frozen=True)
class Recipe:
    """
    Args:
        key: all that decides the bytes of the dataset.  folder: where it will lie.
        later, log: of event logs, and filled as these are read; else {} and None.
    """

    data: DataConfig
    features: Features
    sources: Sources
    raw: RawFiles
    key: dict
    folder: Path
    later: targets.Later
    log: "Log | None"

    @property
    def wants(self) -> list[Want]:
        return [*special_columns(self.data), *self.features.wants()]

    def is_there(self, say: Say) -> bool:
        """Whether the dataset is prepared already, and says so."""
        if not self.folder.exists():
            return False
        if Prepared.load(self.folder).manifest["key"] != self.key:
            raise InputError(
                f"{self.folder} holds a dataset of another config. Remove the folder, or set data.prepared_dir."
            )
        say(f"already prepared: {self.folder}")
        return True

    def is_row(self, block: Block) -> np.ndarray:
        """bool (N,): which rows of a block are rows of the data set."""
        is_row = conditions.holds(block, self.data.rows, "data.rows")
        if self.data.drop_inconsistent:
            is_row &= targets.consistent(targets.labels(block, self.data, self.later), self.data)
        return is_row

    def new_tally(self) -> Tally:
        negatives = self.data.negatives.per_positive if self.data.negatives else 0
        return Tally(self.data.labels, negatives, number_labels(self.data))

    def observe(self, block: Block, codes: np.ndarray, features: Features, tally: Tally):
        """Checks and counts the labels of a block, and fits on its training rows. codes: int (N,), its splits."""
        rows = np.flatnonzero(self.is_row(block))
        if rows.size:
            tally.add(codes[rows], targets.read(select(block, rows), self.data, self.later)["labels"])
        train = np.flatnonzero(codes == 0)
        if train.size:
            features.observe(select(block, train))

    def check_splits(self, tally: Tally):
        """Raises InputError where a split has too few rows, or a label a single class."""
        tally.check(self.data, split.expected(self.data, list(self.sources.files)), self.raw.say)

    def packed(self, block: Block, rows: np.ndarray, first: int) -> pa.Table:
        """Some rows of a block as they are written. first: index of the block's first row over all files."""
        block = select(block, rows)
        if self.log is not None:
            return to_table(self.log.rows(block, first + rows))
        return to_table({**self.features.encode(block), **targets.read(block, self.data, self.later)})

    def check_unchanged(self):
        if manifest.key(self.data, self.sources.files, self.raw.companions()) != self.key:
            raise InputError("the raw files (data.files) changed while they were read. Run again when they are whole.")

    def manifest(self, folder: Path, tally: Tally) -> str:
        """That of a folder which holds all the rest of the dataset."""
        sample = None if self.sources.sample is None else asdict(self.sources.sample)
        rows, positives = tally.rows(), tally.positives()
        content = manifest.build(self.key, self.sources.kind, sample, rows, positives, manifest.num_bytes(folder))
        return json.dumps(content, indent=1, ensure_ascii=False)


def open_recipe(data: DataConfig, say: Say) -> Recipe:
    """Reads no row.

    Raises:
        InputError: the config contradicts itself, or a file is missing or empty.
    """
    registry.check_name("data/readers", data.format.reader, "data.format.reader", "read")
    features = Features(data)
    split.check(data)
    sources = find_files(data)
    raw = RawFiles(sources.files, data.format, say)
    key = manifest.key(data, sources.files, raw.companions())
    folder = Path(data.prepared_dir) / manifest.folder_name(data, key)
    return Recipe(data, features, sources, raw, key, folder, {}, None)
