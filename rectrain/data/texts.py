"""Rows of the fused table back into what people read."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from rectrain.data.vocab import read_values
from rectrain.schema import Schema

MISSING, UNKNOWN = "(missing)", "(not in the vocabulary)"
_UNITS = (("days", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


class Texts:
    """Values of vocabularies, each read when it is first asked for.

    Args:
        folder: of the run, or of the prepared data set.
    """

    def __init__(self, schema: Schema, folder: Path):
        self._folder = folder
        self._tables = [(table.offset, table.offset + table.num_rows, table.encoding) for table in schema.tables]
        self._values = lru_cache(maxsize=None)(self._read)

    def of(self, row: int | np.integer) -> str:
        """The text of a row of the fused table."""
        first, _, encoding = next(table for table in self._tables if table[0] <= row < table[1])
        return self._text(int(row) - first, encoding)

    def _text(self, number: int, encoding: dict) -> str:
        if encoding["type"] == "gap":
            return gap_text(number)
        if number == 0:
            return MISSING
        if encoding["type"] == "hash":
            return f"#{number}"
        if encoding["type"] == "quantile":
            return f"bucket {number}"
        return UNKNOWN if number == 1 else self._values(encoding["file"])[number - 2].as_py()

    def _read(self, file: str):
        return read_values(self._folder / file)


def gap_text(bucket: int) -> str:
    """`about 2.3 h ago`: the middle of the bucket of a time gap, of 2^k up to 2^(k + 1) seconds."""
    if bucket < 3:
        return (MISSING, "later", "at the same moment")[bucket]
    seconds = 1.5 * 2 ** (bucket - 3)
    unit, size = next((unit, size) for unit, size in _UNITS if seconds >= size)
    count = seconds / size
    return f"about {count:.{0 if count >= 10 else 1}f} {unit} ago"
