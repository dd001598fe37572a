"""Raw rows -> packed rows without a pass before: values are hashed into one table that all features share."""

import dataclasses
import itertools
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from rectrain.config import DataConfig, FeatureConfig, NumericConfig, SequenceConfig
from rectrain.data import conditions, targets
from rectrain.data.blocks import Block
from rectrain.data.columns import later_labels, select
from rectrain.data.features import LogSquare, MultiValued, Number, Quantile, Text
from rectrain.data.plan import Features
from rectrain.data.row_groups import Rows
from rectrain.data.vocab import SharedHash
from rectrain.errors import InputError
from rectrain.schema import MultiValued as PackedMultiValued
from rectrain.schema import Schema


class HashedFeatures(Features):
    """The features of a data set, each value hashed into the same `buckets` rows.

    Behind them comes one row that padding of multi-valued features reads, where there are any: a row that is read is a
    row that an optimizer may move. Then come the rows of crosses.
    """

    def __init__(self, data: DataConfig, buckets: int):
        _check(data)
        self._buckets = buckets
        super().__init__(data)

    def _make(self, config: FeatureConfig, column: str, key: str):
        feature = super()._make(config, column, key)
        if isinstance(feature, Text | LogSquare | MultiValued):
            feature.encoder = SharedHash(column, self._buckets)
        elif isinstance(feature, Quantile) or (isinstance(feature, Number) and feature.needs_fit):
            assert isinstance(config, NumericConfig)
            raise InputError(
                f"{key}.transform={config.transform} is fitted on all training rows, which a stream does not have yet. "
                f"Set {key}.transform=log_square, log1p or none, or online.source=prepared."
            )
        return feature

    def _number_rows(self) -> dict[str, int]:
        shared = {f.name: 0 for f in (*self.categorical, *self.multi_valued)}
        first = self._buckets + bool(self.multi_valued) if shared else 0
        starts = itertools.accumulate((f.num_rows for f in self.crosses), initial=first)
        return shared | {f.name: start for f, start in zip(self.crosses, starts, strict=False)}

    def _multi_valued_entry(self, feature: MultiValued) -> PackedMultiValued:
        return dataclasses.replace(super()._multi_valued_entry(feature), num_rows=self.padding + 1)

    @property
    def padding(self) -> int:
        """The row that padding reads."""
        return self._buckets

    @cached_property
    def ragged(self) -> dict[str, tuple[str, int, int]]:
        return {f.name: (f"{f.name}_valid", f.max_length, self.padding) for f in self.multi_valued}

    def schema(self) -> Schema:
        return self.finish(Path())  # nothing is fitted, and nothing written


def _check(data: DataConfig):
    """What is not known of a row while it comes."""
    asks = {
        "data.history": data.history is not None,
        "data.negatives": data.negatives is not None,
        "data.split.by=files": data.split.by == "files",
        **{f"data.labels.{name}.later": True for name in later_labels(data)},
        **{f"data.features.{name}": True for name, f in data.features.items() if isinstance(f, SequenceConfig)},
    }
    for key, asked in asks.items():
        if asked:
            raise InputError(
                f"{key} needs the whole data set, which a stream is not. Set online.source=prepared, or leave it out."
            )


def packed_rows(block: Block, data: DataConfig, features: HashedFeatures) -> tuple[Rows, np.ndarray]:
    """The rows of a block as batches hold them, and the index of each within its file, int64 (N,).

    Raises:
        InputError: a value of a row is wrong.
    """
    kept = conditions.holds(block, data.rows, "data.rows")
    if data.drop_inconsistent:
        kept &= targets.consistent(targets.labels(block, data, {}), data)
    chosen = np.flatnonzero(kept)
    if not chosen.size:
        return {}, chosen
    part = select(block, chosen)
    rows = {**features.rows(part), **targets.read(part, data, {})}
    rows.setdefault("weight", np.ones(len(chosen), np.float32))
    return rows, block.first_row + chosen


def halves(block: Block) -> Iterator[Block]:
    middle = block.num_rows // 2
    for start, stop in ((0, middle), (middle, block.num_rows)):
        yield Block(
            {name: column.slice(start, stop - start) for name, column in block.columns.items()},
            stop - start,
            block.path,
            block.first_row + start,
            block.describe_row,
        )
