"""Reads delimited text: csv, tsv and the like, plain or gzipped, with or without a header.

A cell that is blank or one of `data.format.null_values` is null, quoted or not.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from rectrain.config import FormatConfig
from rectrain.data.blocks import Block
from rectrain.data.readers import rows
from rectrain.data.readers.checks import bad_cell, check_columns, first_failure, no_rows, numbers, stripped
from rectrain.data.readers.rows import Chunk, Dialect, Row
from rectrain.errors import InputError


def read(
    path: Path, columns: dict[str, str], format: FormatConfig, *, advance: Callable[[int], object] | None = None
) -> Iterator[Block]:
    """The rows of one file in blocks.

    Args:
        columns: name -> "text", "number" or "list"; a list comes as text, for the caller to split.
        advance: called with the number of raw (compressed) bytes consumed since its last call.
    Raises:
        InputError: names the file, the line at fault and the key.
    """
    table = _Table(path, format)
    locate = functools.partial(describe_row, format=format)
    first_row = 0
    for chunk, cells in table.chunks(list(columns), advance):
        converted = {name: table.convert(chunk, cells, name, kind) for name, kind in columns.items()}
        yield Block(converted, cells.num_rows, path, first_row, locate)
        first_row += cells.num_rows


def column_names(path: Path, format: FormatConfig) -> list[str]:
    """The header's, or `data.format.columns`; then the file is not looked at."""
    return _Table(path, format).names


def count_rows(path: Path, format: FormatConfig) -> int:
    """As many as `read` yields."""
    table = _Table(path, format)
    return sum(cells.num_rows for _, cells in table.chunks(table.names[:1]))


def describe_row(path: Path, row: int, *, format: FormatConfig) -> str:
    """Where the row of index `row` stands and how it starts; reads the file up to there."""
    table = _Table(path, format)
    for chunk, cells in table.chunks(table.names[:1]):
        if row < cells.num_rows:
            return rows.place(path, table.row(chunk, row))
        row -= cells.num_rows
    raise AssertionError(f"{path} does not have so many rows")


class _Table:
    """A file, its dialect and the names of its columns."""

    def __init__(self, path: Path, format: FormatConfig):
        self.path = path
        self.dialect = Dialect(format)
        self.header = format.header
        self.null_values = ["", *format.null_values]
        self.names = self._header_names() if format.columns is None else format.columns
        check_columns(path, self.names, ())

    def chunks(self, wanted: list[str], advance=None) -> Iterator[tuple[Chunk, pa.Table]]:
        """The wanted columns as they stand in the file: binary, null where missing."""
        check_columns(self.path, self.names, wanted)
        empty = True
        for chunk in self._data(advance):
            try:
                cells = _parse(chunk.data, self.names, wanted, self.null_values, self.dialect)
            except pa.ArrowInvalid as error:
                raise self._explain(chunk) from error
            if cells.num_rows > 0:
                empty = False
                yield chunk, cells
        if empty:
            raise no_rows(self.path, "only a header" if self.header else "only blank lines")

    def convert(self, chunk: Chunk, cells: pa.Table, name: str, kind: str) -> pa.Array:
        """One column as a block holds it."""
        column = cells[name].combine_chunks()
        convert = functools.partial(self._convert, kind=kind)
        try:
            return convert(column)
        except pa.ArrowInvalid as error:
            index = first_failure(column, convert)
            raise self._bad_cell(self.row(chunk, index), name, column[index].as_py()) from error

    def row(self, chunk: Chunk, index: int) -> Row:
        return next(itertools.islice(self.dialect.rows(chunk), index, None))

    def _convert(self, cells: pa.Array, kind: str) -> pa.Array:
        text = cells.cast(pa.string())
        if self.dialect.strip:
            text = stripped(text, self.null_values)
        return numbers(text, self.null_values) if kind == "number" else text

    def _header_names(self) -> list[str]:
        chunk = next(rows.chunks(self.path, self.dialect), None)
        if chunk is None:
            raise no_rows(self.path, "only blank lines")
        row = self.row(chunk, 0)
        if rows.is_too_long(row):
            raise rows.too_long(self.path, row)
        try:
            row.data.decode()
        except UnicodeDecodeError as error:
            raise self._not_utf8(row, error.start) from error
        places = [str(i) for i in range(self.dialect.num_cells(row.data))]
        cells = _parse(row.data, places, places, [], self.dialect)
        names = [cells[place][0].as_py().decode() for place in places]
        return [name.strip(" \t") for name in names] if self.dialect.strip else names

    def _data(self, advance) -> Iterator[Chunk]:
        """The chunks without the header."""
        skip = self.header
        for chunk in rows.chunks(self.path, self.dialect, advance):
            if skip:
                chunk, skip = self._behind(chunk, self.row(chunk, 0)), False
            if chunk.data:
                yield chunk

    def _behind(self, chunk: Chunk, row: Row) -> Chunk:
        return Chunk(chunk.data[row.end :], chunk.line + rows.count_lines(chunk.data[: row.end]))

    def _explain(self, chunk: Chunk) -> InputError:
        """What is wrong with the rows of a chunk that Arrow refuses."""
        for row in self.dialect.rows(chunk):
            if rows.is_too_long(row):
                return rows.too_long(self.path, row)
            if self.dialect.num_cells(row.data) != len(self.names):
                return self._wrong_count(row)
        raise AssertionError(f"{self.path}: rows from line {chunk.line} on are whole, but refused")

    def _wrong_count(self, row: Row) -> InputError:
        where, received = rows.place(self.path, row), self.dialect.num_cells(row.data)
        named = "the header" if self.header else "data.format.columns"
        return InputError(
            f"{where} has {received} columns; expected {len(self.names)}, as many as {named} names. Mend the line, set "
            f"data.format.delimiter (now {self.dialect.delimiter!r}), data.format.quote, data.format.header and "
            "data.format.columns as the file has them, or leave the file out with data.files."
        )

    def _bad_cell(self, row: Row, name: str, cell: bytes) -> InputError:
        try:
            row.data.decode()
        except UnicodeDecodeError as error:
            return self._not_utf8(row, error.start)
        expected = "a finite number; one that is missing is blank or among data.format.null_values"
        return bad_cell(rows.place(self.path, row), name, cell.decode(), expected)

    def _not_utf8(self, row: Row, at: int) -> InputError:
        return InputError(
            f"{rows.place(self.path, row)}: byte {at + 1} of the row, 0x{row.data[at]:02x}, is not UTF-8. Expected "
            "text in UTF-8; convert the file (iconv -f LATIN1 -t UTF-8), or name other files with data.files."
        )


def _parse(data: bytes, names: list[str], wanted: list[str], null_values: list[str], dialect: Dialect) -> pa.Table:
    """Arrow's parser in its threads; binary columns, so that all it can refuse is the shape of a row.

    With quotes the data are one block: Arrow drops the LF of a quoted CRLF that falls between two blocks.
    """
    quotes = dialect.has_quotes(data)
    if data.startswith(rows.BOM):  # not that of the file: Arrow drops one at the start of what it is given
        data = b"\n" + data
    return pa.csv.read_csv(
        pa.BufferReader(data),
        read_options=pa.csv.ReadOptions(column_names=names, block_size=len(data) if quotes else rows.LINE_BYTES),
        parse_options=pa.csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=dialect.quote or False,
            newlines_in_values=quotes,
        ),
        convert_options=pa.csv.ConvertOptions(
            column_types={name: pa.binary() for name in wanted},
            include_columns=wanted,
            null_values=null_values,
            strings_can_be_null=True,
        ),
    )
