"""How a file is laid out: parquet, or which delimiter, quote and header its text has."""

import csv
import dataclasses
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet

from rectrain.config import FormatConfig
from rectrain.data.readers import parquet, rows
from rectrain.data.readers.checks import check_file, no_rows
from rectrain.data.readers.rows import Chunk, Dialect
from rectrain.errors import InputError

_PARQUET = b"PAR1"
_HEAD_BYTES = 1 << 18  # of text that delimiters are tried on
_HEAD_ROWS = 200
_DELIMITERS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar", " ": "blank"}  # the last one if no other fits
_LIBFM = re.compile(rb"\S+(?: \d+:\S+)+ *")
_PLACEHOLDER = "c"  # columns of a file without header are c1, c2, ...


@dataclass(frozen=True)
class Layout:
    """`format` reads the file; `described` says what it is; `header_reason`: why it has a header, or none."""

    format: FormatConfig
    described: str
    header_reason: str = ""


def look(path: Path, header: bool | None) -> Layout:
    """The layout of a file.

    Args:
        header: whether the first row names the columns; None: it is guessed.
    Raises:
        InputError: the file is empty or no text, or its rows do not have the same number of cells.
    """
    check_file(path)
    with path.open("rb") as file:
        if file.read(len(_PARQUET)) == _PARQUET:
            return Layout(FormatConfig(reader="parquet"), "parquet")
    head = _head(path)
    format, cells = _delimited(path, head)
    named, reason = _has_header(cells) if header is None else (header, "as header= says")
    if named:
        return Layout(format, f"text with {_called(format)} and a header", reason)
    columns = [f"{_PLACEHOLDER}{number + 1}" for number in range(len(cells[0]))]
    format = dataclasses.replace(format, header=False, columns=columns)
    return Layout(format, f"text with {_called(format)}, without header", reason)


def parquet_types(path: Path, format: FormatConfig) -> dict[str, pyarrow.DataType]:
    """Column -> type of a parquet file."""
    parquet.column_names(path, format)  # refuses a damaged file
    schema = pyarrow.parquet.read_schema(path)
    return dict(zip(schema.names, schema.types, strict=True))


def _called(format: FormatConfig) -> str:
    return f"{_DELIMITERS[format.delimiter[0]]}s between cells"


def _head(path: Path) -> Chunk:
    """Whole lines from the start of the file, about as many bytes as delimiters need to be tried on."""
    plain = Dialect(FormatConfig(reader="csv", quote=None))
    chunk = next(rows.chunks(path, plain), None)
    if chunk is None:
        raise no_rows(path, "only blank lines", "data")
    if len(chunk.data) <= _HEAD_BYTES:
        return chunk
    end = chunk.data.rfind(b"\n", 0, _HEAD_BYTES) + 1
    return Chunk(chunk.data[:end] if end else chunk.data, chunk.line)


def _delimited(path: Path, head: Chunk) -> tuple[FormatConfig, list[list[str]]]:
    """The format whose delimiter cuts all first rows into most cells, alike; and these cells."""
    if all(_LIBFM.fullmatch(line) for line in head.data.splitlines()[:_HEAD_ROWS]):
        raise InputError(
            f"{path}: a label and index:value pairs, as libFM and libsvm have them: nothing tells types of columns. "
            "Write the YAML by hand, with data.format.reader=libfm (docs/own_dataset.md)."
        )
    found = [(cells, format) for cells, format in _tried(head) if len({len(row) for row in cells}) == 1]
    several = [(cells, format) for cells, format in found if len(cells[0]) > 1]
    if not several:
        raise _not_a_table(path, head)
    preferred = [(cells, format) for cells, format in several if format.delimiter != " "] or several
    cells, format = max(preferred, key=lambda found: len(found[0][0]))  # of equal ones the first: with quotes
    if format.delimiter != " " and _blanks_follow(cells):
        format = dataclasses.replace(format, delimiter=f"{format.delimiter} ", quote=None)
    return format, [[cell.strip() for cell in row] for row in cells]


def _tried(head: Chunk) -> Iterator[tuple[list[list[str]], FormatConfig]]:
    for delimiter in _DELIMITERS:
        for quote in ('"', None) if b'"' in head.data else (None,):
            format = FormatConfig(reader="csv", delimiter=delimiter, quote=quote)
            dialect = Dialect(format)
            lines = [row.data for _, row in zip(range(_HEAD_ROWS), dialect.rows(head), strict=False)]
            cells = [_cells(dialect, line) for line in lines]
            if cells and quote is None and b'"' not in head.data:
                format = dataclasses.replace(format, quote='"')  # the rest of the file may have some
            if cells:
                yield cells, format


def _cells(dialect: Dialect, line: bytes) -> list[str]:
    text = io.StringIO(line.decode("utf-8", "replace"), newline="")
    quoting = {"quotechar": dialect.quote} if dialect.quote else {"quoting": csv.QUOTE_NONE}
    return next(csv.reader(text, delimiter=dialect.delimiter, **quoting), [])


def _blanks_follow(cells: list[list[str]]) -> bool:
    """Whether each cell but a row's first starts with a blank."""
    return all(cell.startswith(" ") for row in cells for cell in row[1:])


def _not_a_table(path: Path, head: Chunk) -> InputError:
    first = next(iter(Dialect(FormatConfig(reader="csv", quote=None)).rows(head))).data[:60]
    return InputError(
        f"{path}: none of {', '.join(_DELIMITERS.values())} cuts its first rows into as many cells each, two or more; "
        f"the first row is {first.decode('utf-8', 'replace')!r}. Expected a label and features in columns: bring the "
        "file into that form, or write the YAML by hand (docs/own_dataset.md)."
    )


def _has_header(cells: list[list[str]]) -> tuple[bool, str]:
    first, rest = cells[0], cells[1:]
    if any(_is_number(cell) for cell in first):
        return False, "the first row holds a number, which is no name"
    if not all(first) or len(set(first)) < len(first):
        return False, "cells of the first row are blank or alike, which names are not"
    again = sum(name in {row[i] for row in rest} for i, name in enumerate(first))
    if again * 3 > len(first):
        return False, "values of the first row come again below it"
    return True, "the first row holds no numbers, and its values do not come again"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
