"""Which column holds the time of a row, and how it is written."""

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rectrain.config import TimeConfig
from rectrain.data.targets import parse_times
from rectrain.draft import words
from rectrain.draft.columns import Column

_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y")
_CLOCKS = (" %H:%M:%S", "T%H:%M:%S", "T%H:%M:%S%z", " %H:%M:%S%z", " %H:%M", "T%H:%M", "")
_TEXTS = tuple(f"{day}{clock}" for day in _DAYS for clock in _CLOCKS)
# Format -> number of digits, of columns that are called a time.
_DIGITS = {"%Y%m%d": 8, "%y%m%d%H": 8, "%Y%m%d%H": 10, "%Y%m%d%H%M%S": 14}
_UNIX = (631_152_000, 2_051_222_400)  # 1990 to 2035
_UNITS = {1: "unix seconds", 1_000: "unix milliseconds", 1_000_000: "unix microseconds"}
_LONGEST = 5 * 366 * 86_400  # seconds that a column which is not called a time may span


@dataclass(frozen=True)
class Time:
    config: TimeConfig
    reason: str


def choose(columns: list[Column], timestamps: set[str]) -> tuple[Time | None, dict[str, str]]:
    """The time of a row, None where no column has one in every row; and a reason for each column that holds times.

    Args:
        timestamps: columns that a parquet file types as a moment or a day.
    """
    found = {column.name: time for column in columns if (time := read(column, column.name in timestamps))}
    full = [
        column for column in columns if column.name in found and not column.texts.null_count and column.distinct > 1
    ]
    best = max(full, key=lambda column: column.is_called(words.TIMES), default=None)
    return (None if best is None else found[best.name]), {name: time.reason for name, time in found.items()}


def read(column: Column, is_timestamp: bool = False) -> Time | None:
    """How a column writes moments; None where it holds something else."""
    if is_timestamp:
        return Time(TimeConfig(column.name, None), "moments, which are read as unix seconds")
    called = column.is_called(words.TIMES)
    for time_format in _formats(column, called):
        if _fits(column.texts, time_format):
            return Time(TimeConfig(column.name, time_format), f"every cell reads as {time_format}")
    return _unix(column, called)


def _formats(column: Column, called: bool) -> tuple[str, ...]:
    """Those that its most frequent value may be written in."""
    value = next(iter(column.values(1)), "")
    if re.match(r"\d{1,4}[-/.]\d", value) and column.numbers is None:
        return _TEXTS
    return tuple(f for f, digits in _DIGITS.items() if called and value.isdigit() and len(value) == digits)


def moments(texts: pa.Array, time: TimeConfig) -> np.ndarray:
    """float64 (N,) of a column without missing cells."""
    if time.format is not None:
        return parse_times(texts, time.format).to_numpy(zero_copy_only=False)
    numbers = Column(time.column, texts).numbers
    return _moments_of_text(texts) if numbers is None else numbers


def _moments_of_text(texts: pa.Array) -> np.ndarray:
    """Timestamps that the parquet reader has given as text, in an order that sorts as they do."""
    return np.unique(texts.to_numpy(zero_copy_only=False).astype(str), return_inverse=True)[1].astype(float)


def _fits(texts: pa.Array, time_format: str) -> bool:
    present = texts.drop_null()
    parts = (present[:100], present)  # most formats fail at the first
    return len(present) > 0 and all(not parse_times(part, time_format).null_count for part in parts)


def _unix(column: Column, called: bool) -> Time | None:
    if not column.is_whole:
        return None
    assert column.numbers is not None
    for unit, name in _UNITS.items():
        low, high = column.numbers.min() / unit, column.numbers.max() / unit
        if _UNIX[0] <= low and high <= _UNIX[1] and (called or high - low <= _LONGEST):
            first, last = np.array([low, high], "datetime64[s]")
            return Time(TimeConfig(column.name, None), f"{name}, {first} to {last}".replace("T", " "))
    return None
