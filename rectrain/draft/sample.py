"""The first rows of a file, as text: what a draft is made from."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from rectrain import registry
from rectrain.data.vocab import blank_as_null
from rectrain.draft.layout import Layout

_MOST_BYTES = 64 << 20  # of cells that are held in memory


@dataclass(frozen=True)
class Sample:
    """columns: name -> string (N,), null where missing, or list<string> (N,).  is_whole: these are all rows."""

    columns: dict[str, pa.Array]
    num_rows: int
    is_whole: bool


def read(path: Path, layout: Layout, kinds: dict[str, str], most_rows: int) -> Sample:
    """The first rows of a file, at most `most_rows` and less where these are large.

    Args:
        kinds: column -> "text" or "list".
    Raises:
        InputError: the file cannot be read as its layout says.
    """
    blocks, num_rows, num_bytes, is_whole = [], 0, 0, True
    for block in registry.load("data/readers", layout.format.reader, "read")(path, kinds, layout.format):
        if num_rows >= most_rows or num_bytes >= _MOST_BYTES:
            is_whole = False
            break
        part = {name: column.slice(0, most_rows - num_rows) for name, column in block.columns.items()}
        kept = len(next(iter(part.values())))
        is_whole = kept == block.num_rows
        num_rows, num_bytes = num_rows + kept, num_bytes + sum(column.nbytes for column in part.values())
        blocks.append(part)
        if not is_whole:
            break
    columns = {name: pa.concat_arrays([_plain(block[name]) for block in blocks]) for name in kinds}
    return Sample(columns, num_rows, is_whole)


def _plain(column: pa.Array) -> pa.Array:
    return blank_as_null(column) if pa.types.is_string(column.type) else column
