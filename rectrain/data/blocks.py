"""What a reader yields: a block of raw rows that knows where it came from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa


@dataclass(frozen=True)
class Block:
    """Some consecutive rows of one raw file.

    columns: name -> pa.Array: string (text), float64 (numbers; null where blank) or list<string> (lists).
    first_row: index of the first row within its file, 0 = the first row of data.
    """

    columns: dict[str, pa.Array]
    num_rows: int
    path: Path
    first_row: int
    describe_row: Callable[[Path, int], str]  # (path, row) -> "train.tsv, line 12", slow: for error messages only

    def place(self, index: int) -> str:
        """Where row `index` of this block stands, as a person finds it."""
        return self.describe_row(self.path, self.first_row + index)
