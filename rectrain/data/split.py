"""Which split a row belongs to: 0 train, 1 valid, 2 test.

order    the first rows over all files train, the last test
random   a number that belongs to (split.seed, row)
hash     a number that belongs to the text of split.column, so that its rows stay together
time     before split.valid_from, before split.test_from, and later; or by fractions of the rows in order of time,
         where rows of one moment stay together
last     a user's last row by time is test, the one before it valid; users of fewer than 3 rows train
files    each split has its own files
"""

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pyarrow as pa

from rectrain.config import DataConfig, SplitConfig
from rectrain.data.blocks import Block
from rectrain.data.columns import texts, unexpected
from rectrain.data.randoms import random_fractions
from rectrain.data.targets import GROUP_RANGE, parse_moment, times
from rectrain.data.vocab import hash_bucket, is_null
from rectrain.errors import InputError

SPLITS = ("train", "valid", "test")

# (key of Sources.files, index of the block's first row over all files, block) -> int (N,), positions in SPLITS
Assign = Callable[[str, int, Block], np.ndarray]


def check(data: DataConfig):
    """What needs no file to be seen wrong."""
    split = data.split
    if split.by in ("time", "last") and data.time is None:
        raise InputError(f"data.split.by={split.by} needs data.time.column, the column that holds the time of a row.")
    if split.by == "time" and split.valid_from is not None:
        _moments(data)
    elif split.by not in ("files", "last") and split.train == 0:
        raise InputError("data.split.train=0: expected more than 0; without training rows nothing can be fitted.")


def expected(data: DataConfig, with_files: list[str]) -> list[str]:
    """The splits that must have rows. with_files: splits that have files of their own (by=files)."""
    split = data.split
    if split.by == "files":
        return [name for name in SPLITS if name in with_files]
    if split.by == "time" and split.valid_from is not None:
        valid_from, test_from = _moments(data)
        return [name for name in SPLITS if name != "valid" or valid_from < test_from]
    return [name for name in SPLITS if split.by == "last" or getattr(split, name) > 0]


def by_files(name: str, first: int, block: Block) -> np.ndarray:
    return np.full(block.num_rows, SPLITS.index(name))


def by_order(split: SplitConfig, num_rows: int) -> Assign:
    starts = first_rows(split, num_rows)
    return lambda _, first, block: _codes(starts, np.arange(first, first + block.num_rows))


def by_random(split: SplitConfig) -> Assign:
    starts = first_fractions(split)
    return lambda _, first, block: _codes(starts, random_fractions(split.seed, first, block.num_rows))


def by_hash(split: SplitConfig) -> Assign:
    assert split.column is not None
    starts, column = first_fractions(split), split.column

    return lambda _, first, block: _codes(starts, (hash_bucket(keys(block, column), GROUP_RANGE) - 1) / GROUP_RANGE)


def keys(block: Block, column: str) -> pa.Array:
    """string (N,), none blank: the values of data.split.column."""
    found = texts(block, column)
    if found.null_count:
        raise unexpected(block, np.argmax(is_null(found)), column, "data.split.column", "a key to split by")
    return found


def by_moments(data: DataConfig) -> Assign:
    return by_time(data, _moments(data))


def first_moments(data: DataConfig, counts: pa.Table) -> np.ndarray:
    """float64 (2,), of valid and of test by fractions of the rows in order of time.

    counts: value (float64) and count, how many rows each moment has.
    """
    counts = counts.sort_by("value")
    moments, ends = counts["value"].to_numpy(), np.cumsum(counts["count"].to_numpy())
    starts = np.searchsorted(ends, first_rows(data.split, int(ends[-1])), side="right")
    return np.append(moments, np.inf)[starts]


def by_time(data: DataConfig, starts: Sequence[float] | np.ndarray) -> Assign:
    """starts: the first moments of valid and of test."""
    assert data.time is not None
    time = data.time
    return lambda _, first, block: _codes(starts, times(block, time))


def by_last(last: np.ndarray, before: np.ndarray) -> Assign:
    """last, before: int64, rising: the rows, over all files, that are a user's last one and the one before it."""

    def assign(_, first: int, block: Block) -> np.ndarray:
        codes = np.zeros(block.num_rows, np.int64)
        for code, rows in ((2, last), (1, before)):
            begin, end = np.searchsorted(rows, [first, first + block.num_rows])
            codes[rows[begin:end] - first] = code
        return codes

    return assign


def _codes(starts, x):
    """How many of the starts, of valid and of test, each x has reached."""
    return (x >= starts[0]).astype(np.int64) + (x >= starts[1])


def first_rows(split: SplitConfig, num_rows: int) -> list[int]:
    """The first rows of valid and of test: floor(fraction * num_rows), exact for fractions as written."""
    train, valid = Fraction(repr(split.train)), Fraction(repr(split.valid))
    starts = [int(train * num_rows), int((train + valid) * num_rows)]
    return [num_rows if last else start for start, last in zip(starts, _is_last(split), strict=True)]


def first_fractions(split: SplitConfig) -> list[float]:
    starts = [split.train, split.train + split.valid]
    return [np.inf if last else start for start, last in zip(starts, _is_last(split), strict=True)]


def _is_last(split: SplitConfig) -> tuple[bool, bool]:
    """Whether train, and valid, have nothing after them: a sum a rounding error below 1 must not open a split."""
    return split.valid == split.test == 0, split.test == 0


def _moments(data: DataConfig) -> tuple[float, float]:
    assert data.time is not None
    keys = ("valid_from", "test_from")
    valid, test = (parse_moment(getattr(data.split, key), data.time, f"data.split.{key}") for key in keys)
    if valid > test:
        raise InputError(
            f"data.split.valid_from={data.split.valid_from} is later than data.split.test_from={data.split.test_from};"
            " expected train, valid and test in order of time."
        )
    return valid, test
