"""Reads delimited text: csv, tsv and the like, plain or gzipped, with or without a header.

A cell that is blank or one of `data.format.null_values` is null, quoted or not.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from rectrain.config import FormatConfig
from rectrain.data.bad_rows import BadRows
from rectrain.data.blocks import Block
from rectrain.data.readers import rows
from rectrain.data.readers.checks import bad_cell, check_columns, first_failure, no_rows, numbers, stripped
from rectrain.data.readers.rows import Chunk, Dialect, Row
from rectrain.errors import InputError

_Part = dict[str, pa.Array]  # columns as a block holds them


def read(
    path: Path,
    columns: dict[str, str],
    format: FormatConfig,
    *,
    advance: Callable[[int], object] | None = None,
    bad_rows: BadRows | None = None,
) -> Iterator[Block]:
    """The rows of one file in blocks.

    Args:
        columns: name -> "text", "number" or "list"; a list comes as text, for the caller to split.
        advance: called with the number of raw (compressed) bytes consumed since its last call.
        bad_rows: takes the rows that do not parse, in their order, which are then left out; they may come as long
            before the good rows around them as a chunk is large.  None: the first one is an error.
    Raises:
        InputError: names the file, the line at fault and the key.
    """
    table = _Table(path, format)
    first_row = 0
    for chunk, parts, kept in table.parts(columns, advance, bad_rows):
        if bad_rows is None and path != rows.STANDARD_INPUT:
            locate = functools.partial(describe_row, format=format)
        else:  # its rows cannot be counted once more, or not without telling again which of them are bad
            locate = functools.partial(_describe_row_of_chunk, table, chunk, kept, first_row)
        for part in parts:
            num_rows = len(next(iter(part.values())))
            yield Block(part, num_rows, path, first_row, locate)
            first_row += num_rows


def column_names(path: Path, format: FormatConfig) -> list[str]:
    """The header's, or `data.format.columns`; then the file is not looked at."""
    return _Table(path, format).names


def num_cells(path: Path, format: FormatConfig) -> int:
    """Cells of the first row of a file without header; 0 where it has none."""
    dialect = Dialect(format)
    chunk = next(rows.chunks(path, dialect), None)
    return 0 if chunk is None else dialect.num_cells(next(iter(dialect.rows(chunk))).data)


def count_rows(path: Path, format: FormatConfig) -> int:
    """As many as `read` yields, or would if all rows were right."""
    return _Table(path, format).count_rows()


def describe_row(path: Path, row: int, *, format: FormatConfig) -> str:
    """Where the row of index `row` stands and how it starts; reads the file up to there."""
    table = _Table(path, format)
    for chunk, cells in table.chunks({table.names[0]: "text"}):
        if row < cells.num_rows:
            return rows.place(path, table.row(chunk, row))
        row -= cells.num_rows
    raise AssertionError(f"{path} does not have so many rows")


def _describe_row_of_chunk(
    table: "_Table", chunk: Chunk, kept: np.ndarray | None, first_row: int, path: Path, row: int
) -> str:
    """As `describe_row`, of a row of the chunk. kept: which of its rows were good; first_row: the first of these."""
    index = row - first_row
    return rows.place(path, table.row(chunk, index if kept is None else int(kept[index])))


class _Table:
    """A file, its dialect and the names of its columns."""

    def __init__(self, path: Path, format: FormatConfig):
        self.path = path
        self.name = rows.shown(path)
        self.dialect = Dialect(format)
        self.header = format.header
        self.null_values = ["", *format.null_values]
        self.names = self._header_names() if format.columns is None else format.columns
        check_columns(self.name, self.names, ())

    def parts(
        self, kinds: dict[str, str], advance, bad_rows: BadRows | None
    ) -> Iterator[tuple[Chunk, Iterable[_Part], np.ndarray | None]]:
        """(chunk, its rows, which of its rows these are; None: all)."""
        if bad_rows is None:
            yield from ((chunk, self.blocks(chunk, cells, kinds), None) for chunk, cells in self.chunks(kinds, advance))
            return
        check_columns(self.name, self.names, kinds)
        empty, num_bad = True, bad_rows.count
        for chunk in self._data(advance, lambda row, why: bad_rows.add(self.name, row.line, row.data, why)):
            parts, kept = self._all_good(chunk, kinds), None
            if parts is None:
                parts, kept = self._leave_out_bad(chunk, kinds, bad_rows)
            if parts:
                empty = False
                yield chunk, parts, kept
        if empty and bad_rows.count == num_bad:
            raise self._no_rows()

    def chunks(self, kinds: dict[str, str], advance=None) -> Iterator[tuple[Chunk, pa.Table]]:
        """The columns of `kinds`, null where missing: as `convert` gives them, or as binary cells for it to convert."""
        check_columns(self.name, self.names, kinds)
        empty = True
        for chunk in self._data(advance):
            cells = self._cells(chunk, kinds)
            if cells.num_rows > 0:
                empty = False
                yield chunk, cells
        if empty:
            raise self._no_rows()

    def _all_good(self, chunk: Chunk, kinds: dict[str, str]) -> list[_Part] | None:
        """None where a row of the chunk is bad."""
        cells = self._typed_cells(chunk, kinds)
        if cells is not None:
            return _in_pieces(cells)
        try:
            cells = self._parse(chunk.data, {name: pa.binary() for name in kinds})
            part = {name: self._convert(cells[name].combine_chunks(), kind) for name, kind in kinds.items()}
        except pa.ArrowInvalid:
            return None
        return [part] if cells.num_rows else []

    def _leave_out_bad(self, chunk: Chunk, kinds: dict[str, str], bad_rows: BadRows) -> tuple[list[_Part], np.ndarray]:
        """The good rows of a chunk, and which these are; the others go to bad_rows. Looks at each row in Python."""
        quotes = self.dialect.has_quotes(chunk.data)
        found = list(self.dialect.rows(chunk))
        shapes = ((index, self._fault_of_shape(row, quotes)) for index, row in enumerate(found))
        faults = {index: fault for index, fault in shapes if fault is not None}
        kept = np.array([index for index in range(len(found)) if index not in faults], np.int64)
        parts: list[_Part] = []
        if kept.size:
            data = b"".join([found[index].data + b"\n" for index in kept])
            cells = self._parse(data, {name: pa.binary() for name in kinds}, quotes)
            for name, kind in kinds.items():
                column = cells[name].combine_chunks()
                for index in _failures(column, functools.partial(self._convert, kind=kind)):
                    faults.setdefault(int(kept[index]), _fault_of_cell(name, column[index].as_py()))
            good = ~np.isin(kept, list(faults))
            kept, cells = kept[good], cells.filter(pa.array(good))
            parts = [{name: self._convert(cells[name].combine_chunks(), kind) for name, kind in kinds.items()}]
        for index in sorted(faults):
            bad_rows.add(self.name, found[index].line, found[index].data, faults[index])
        return parts if kept.size else [], kept

    def _fault_of_shape(self, row: Row, quotes: bool) -> str | None:
        if rows.is_too_long(row) and not quotes:  # with quotes in its chunk Arrow would have read it
            return rows.longer()
        received, expected = self.dialect.num_cells(row.data), len(self.names)
        return None if received == expected else f"{received} columns; expected {expected}"

    def _cells(self, chunk: Chunk, kinds: dict[str, str]) -> pa.Table:
        typed = self._typed_cells(chunk, kinds)
        if typed is not None:
            return typed
        try:
            return self._parse(chunk.data, {name: pa.binary() for name in kinds})
        except pa.ArrowInvalid as error:
            raise self._explain(chunk) from error

    def _typed_cells(self, chunk: Chunk, kinds: dict[str, str]) -> pa.Table | None:
        """The fast way; None where a cell needs a second look: blanks around it, no number, no UTF-8."""
        if self.dialect.strip:
            return None
        types = {name: pa.float64() if kind == "number" else pa.string() for name, kind in kinds.items()}
        try:
            cells = self._parse(chunk.data, types)
        except pa.ArrowInvalid:
            return None
        is_finite = (
            pc.all(pc.is_finite(cells[name]), min_count=0).as_py() for name in kinds if kinds[name] == "number"
        )
        return cells if all(is_finite) else None

    def _parse(self, data: bytes, types: dict[str, pa.DataType], quotes: bool | None = None) -> pa.Table:
        quotes = self.dialect.has_quotes(data) if quotes is None else quotes
        return _parse(data, self.names, types, self.null_values, self.dialect, quotes)

    def count_rows(self) -> int:
        num_rows = 0
        for chunk in self._data(None):
            if self.dialect.has_quotes(chunk.data) or b"\r" in chunk.data:
                num_rows += sum(1 for row in self.dialect.rows(chunk))
            else:
                num_rows += _count_filled_lines(chunk.data)
        if num_rows == 0:
            raise self._no_rows()
        return num_rows

    def _no_rows(self) -> InputError:
        return no_rows(self.name, "only a header" if self.header else "only blank lines")

    def blocks(self, chunk: Chunk, cells: pa.Table, kinds: dict[str, str]) -> Iterator[_Part]:
        """Columns as blocks hold them."""
        if cells.column(0).type != pa.binary():
            yield from _in_pieces(cells)
        else:
            yield {name: self.convert(chunk, cells, name, kind) for name, kind in kinds.items()}

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
            raise no_rows(self.name, "only blank lines")
        row = self.row(chunk, 0)
        if rows.is_too_long(row):
            raise rows.too_long(self.path, row)
        try:
            row.data.decode()
        except UnicodeDecodeError as error:
            raise self._not_utf8(row, error.start) from error
        places = [str(i) for i in range(self.dialect.num_cells(row.data))]
        quotes = self.dialect.has_quotes(row.data)
        cells = _parse(row.data, places, {place: pa.binary() for place in places}, [], self.dialect, quotes)
        names = [cells[place][0].as_py().decode() for place in places]
        return [name.strip(" \t") for name in names] if self.dialect.strip else names

    def _data(self, advance, drop=None) -> Iterator[Chunk]:
        """The chunks without the header."""
        skip = self.header
        for chunk in rows.chunks(self.path, self.dialect, advance, drop):
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


def _in_pieces(cells: pa.Table) -> list[_Part]:
    """Typed cells as Arrow parsed them: joining the pieces is a copy."""
    return [dict(zip(cells.column_names, piece.columns, strict=True)) for piece in cells.to_batches()]


def _failures(cells: pa.Array, convert: Callable[[pa.Array], pa.Array], start: int = 0) -> list[int]:
    """Index, counted from `start`, of each cell at which `convert` raises ArrowInvalid; fast where these are few."""
    try:
        convert(cells)
    except pa.ArrowInvalid:
        middle = len(cells) // 2
        if middle == 0:
            return [start]
        halves = (cells[:middle], start), (cells[middle:], start + middle)
        return [index for half, first in halves for index in _failures(half, convert, first)]
    return []


def _fault_of_cell(name: str, cell: bytes) -> str:
    try:
        text = cell.decode()
    except UnicodeDecodeError as error:
        return f"column {name!r}: byte {error.start + 1} of the cell, 0x{cell[error.start]:02x}, is not UTF-8"
    return f"column {name!r} holds {text[:60]!r}; expected a finite number"


def _count_filled_lines(data: bytes) -> int:
    """Lines that are not blank, of text that has no line end but LF."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    return int(np.count_nonzero(np.diff(ends, prepend=-1) > 1))


def _parse(
    data: bytes, names: list[str], types: dict[str, pa.DataType], null_values: list[str], dialect: Dialect, quotes: bool
) -> pa.Table:
    """Arrow's parser in its threads. All it can refuse of binary columns is the shape of a row.

    With quotes the data are one block, in which a row may be of any length: Arrow drops the LF of a quoted CRLF that
    falls between two blocks.
    """
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
            column_types=types,
            include_columns=list(types),
            null_values=null_values,
            strings_can_be_null=True,
        ),
    )
