"""Reads libFM's text (libsvm's too): `label index:value index:value ...`, every row with the same fields in one order.

`data.format.columns` names the label and then each field by its place. What a field holds depends on what it is read
as: as text (a category) it is the index, whose value must be 1, or 0 where it is missing; as a number it is the value.
Indices may be numbered through all fields, as in Frappe's and MovieLens' files, or anew in each. Blanks may repeat, and
what follows # is a comment. `data.format` names the reader and the columns, and nothing else.

Source: Rendle 2012, "Factorization Machines with libFM"; Chang and Lin 2011, "LIBSVM".

Shape letters: N rows, F fields.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from rectrain.config import FormatConfig
from rectrain.data.blocks import Block
from rectrain.data.readers import rows
from rectrain.data.readers.checks import bad_cell, check_columns, first_failure, no_rows, numbers
from rectrain.data.readers.rows import Chunk, Row
from rectrain.data.readers.side_tables import LINES
from rectrain.errors import InputError

_UNTIDY = re.compile(rb"\A[ \n]|[\t\r#]|  | \n|\n[ \n]")
_COMMENT = re.compile(rb"#[^\r\n]*")
_FIELD = re.compile(rb"[^:]+:[^:]+")
_INDEX, _VALUE = ":index", ":value"  # of a field, as its two cells are called while they are parsed


def read(
    path: Path, columns: dict[str, str], format: FormatConfig, *, advance: Callable[[int], object] | None = None
) -> Iterator[Block]:
    """The rows of one file in blocks.

    Args:
        columns: name -> "text", "number" or "list"; a list comes as text of one value.
        advance: called with the number of raw (compressed) bytes consumed since its last call.
    Raises:
        InputError: names the file, the line at fault and what to do.
    """
    names = column_names(path, format)
    check_columns(path, names, columns)
    first_row = 0
    for chunk, tidy in _chunks(path, advance):
        cells = _cells(path, chunk, tidy, names, list(columns))
        found = {name: _column(path, chunk, cells, name, kind) for name, kind in columns.items()}
        yield Block(found, cells.num_rows, path, first_row, describe_row)
        first_row += cells.num_rows
    if first_row == 0:
        raise _no_rows(path)


def column_names(path: Path, format: FormatConfig) -> list[str]:
    """`data.format.columns`; the file is not looked at."""
    if not format.columns:
        raise InputError(
            "data.format.reader=libfm needs data.format.columns, the names of the label and of each field of a row."
        )
    check_columns(path, format.columns, ())
    return format.columns


def count_rows(path: Path, format: FormatConfig) -> int:
    """As many as `read` yields, or would if all rows were right."""
    num_rows = sum(tidy.count(b"\n") for _, tidy in _chunks(path, None))
    if num_rows == 0:
        raise _no_rows(path)
    return num_rows


def describe_row(path: Path, row: int) -> str:
    """Where the row of index `row` stands and how it starts; reads the file up to there."""
    for chunk, tidy in _chunks(path, None):
        num_rows = tidy.count(b"\n")
        if row < num_rows:
            return rows.place(path, _row(chunk, row))
        row -= num_rows
    raise AssertionError(f"{path} does not have so many rows")


def _no_rows(path: Path) -> InputError:
    return no_rows(path, "only blank lines and comments")


def _chunks(path: Path, advance) -> Iterator[tuple[Chunk, bytes]]:
    """Chunks with rows, and these as the parser wants them."""
    for chunk in rows.chunks(path, LINES, advance):
        tidy = _tidy(chunk.data)
        if tidy:
            yield chunk, tidy


def _tidy(data: bytes) -> bytes:
    """Rows without comments, one blank between cells and LF at the end of each; no blank lines."""
    if _UNTIDY.search(data) is None:
        return data
    lines = (b" ".join(line.split()) for line in _COMMENT.sub(b"", data).splitlines())
    return b"".join(line + b"\n" for line in lines if line)


def _rows(chunk: Chunk) -> Iterator[tuple[Row, list[bytes]]]:
    """One after another, with their cells; slow: for rows at fault."""
    for row in LINES.rows(chunk):
        cells = _COMMENT.sub(b"", row.data).split()
        if cells:
            yield row, cells


def _row(chunk: Chunk, index: int) -> Row:
    return next(row for place, (row, _) in enumerate(_rows(chunk)) if place == index)


def _cells(path: Path, chunk: Chunk, tidy: bytes, names: list[str], wanted: list[str]) -> pa.Table:
    """`name` + _INDEX and `name` + _VALUE of each column that is wanted, binary; the label is an index alone."""
    parts = [names[0] + _INDEX, *(name + part for name in names[1:] for part in (_INDEX, _VALUE))]
    read = [part for part in parts if part.removesuffix(_INDEX).removesuffix(_VALUE) in wanted]
    try:
        if not _is_regular(tidy, len(names) - 1):
            raise pa.ArrowInvalid("rows of another shape")
        return pa.csv.read_csv(
            pa.BufferReader(tidy.replace(b":", b" ")),
            read_options=pa.csv.ReadOptions(column_names=parts, block_size=rows.LINE_BYTES),
            parse_options=pa.csv.ParseOptions(delimiter=" ", quote_char=False),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(read, pa.binary()), include_columns=read, null_values=[]
            ),
        )
    except pa.ArrowInvalid as error:
        raise _explain(path, chunk, names) from error


def _is_regular(tidy: bytes, num_fields: int) -> bool:
    """Whether each row is `label index:value ...` with so many fields, none of them blank."""
    data = np.frombuffer(tidy, np.uint8)
    at = np.flatnonzero((data == ord(" ")) | (data == ord(":")) | (data == ord("\n")))
    row = np.frombuffer(b" :" * num_fields + b"\n", np.uint8)
    if at.size % row.size or np.any(np.diff(at, prepend=-1) == 1):
        return False
    return bool(np.all(data[at].reshape(-1, row.size) == row))


def _explain(path: Path, chunk: Chunk, names: list[str]) -> InputError:
    for row, (label, *fields) in _rows(chunk):
        where = rows.place(path, row)
        if rows.is_too_long(row):
            return rows.too_long(path, row)
        bad = next((cell for cell in fields if not _FIELD.fullmatch(cell)), None)
        bad = label if b":" in label else bad
        if bad is not None:
            shown = bad.decode("utf-8", "replace")[:80]
            return InputError(
                f"{where}: {shown!r} is out of place. Expected label index:value index:value ...; mend the line, or "
                "set data.format.reader=csv if this is delimited text."
            )
        if len(fields) != len(names) - 1:
            return InputError(
                f"{where} has {len(fields)} fields; expected {len(names) - 1}, as many as data.format.columns names "
                f"behind {names[0]!r}. The reader libfm tells fields by their place, so none may be left out: mend the "
                "line (index:0 where a category is missing), or name the columns as the file has them."
            )
    raise AssertionError(f"{path}: rows from line {chunk.line} on are regular, but refused")


def _column(path: Path, chunk: Chunk, cells: pa.Table, name: str, kind: str) -> pa.Array:
    if name + _VALUE not in cells.column_names:  # the label
        return _converted(path, chunk, name, cells[name + _INDEX], _number if kind == "number" else _text)
    values = _converted(path, chunk, name, cells[name + _VALUE], _number if kind == "number" else _is_there)
    if kind == "number":
        return values
    index = _converted(path, chunk, name, cells[name + _INDEX], _text)
    return pc.if_else(values, index, pa.scalar(None, pa.string()))


def _converted(path: Path, chunk: Chunk, name: str, cells: pa.ChunkedArray, convert) -> pa.Array:
    column = cells.combine_chunks()
    try:
        return convert(column)
    except pa.ArrowInvalid as error:
        at = first_failure(column, convert)
        place = rows.place(path, _row(chunk, at))
        raise bad_cell(place, name, column[at].as_py().decode("utf-8", "replace"), _EXPECTED[convert]) from error


def _text(cells: pa.Array) -> pa.Array:
    return cells.cast(pa.string())


def _number(cells: pa.Array) -> pa.Array:
    return numbers(_text(cells), [])


def _is_there(cells: pa.Array) -> pa.Array:
    """bool: whether the value is 1, not 0."""
    values = _number(cells)
    if not pc.all(pc.or_(pc.equal(values, 0), pc.equal(values, 1)), min_count=0).as_py():
        raise pa.ArrowInvalid("neither 0 nor 1")
    return pc.equal(values, 1)


_EXPECTED: dict[Callable, str] = {
    _text: "text in UTF-8",
    _number: "a finite number",
    _is_there: "the value 1 of a category, or 0 where it is missing",
}
