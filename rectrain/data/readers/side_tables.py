"""Small tables that lie beside a log of events: read whole, and joined to the rows of the log by a key."""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from rectrain.config import FormatConfig
from rectrain.data.readers import rows
from rectrain.data.readers.checks import bad_cell, check_file, first_failure, numbers, unreadable
from rectrain.data.readers.rows import Dialect, Row
from rectrain.errors import InputError

UNKNOWN = "unknown"  # of a key that the table lacks, or a value that it leaves blank
LINES = Dialect(FormatConfig(reader="csv", quote=None))  # for text whose rows are lines and whose cells we split


@dataclass(frozen=True)
class SideTable:
    """What is known about each value of the log's column `key`.

    lists: names of columns that hold several texts joined by "|"; nothing known about them is null, not UNKNOWN.
    """

    key: str
    keys: pa.Array  # string (K,), each once
    columns: dict[str, pa.Array]  # string (K,)
    lists: tuple[str, ...] = ()

    def join(self, keys: pa.Array, names: Iterable[str]) -> dict[str, pa.Array]:
        """Columns `names` for the rows of a log, whose keys are string (N,)."""
        places = pc.index_in(keys, value_set=self.keys)
        return {name: self._filled(name, self.columns[name].take(places)) for name in names}

    def _filled(self, name, values):
        return values if name in self.lists else pc.fill_null(values, UNKNOWN)


def side_table(key: str, names: list[str], entries: Iterable[tuple[Row, list]], path: Path, lists=()) -> SideTable:
    """A table from (row of the file, [key, value of each of `names`]); None and "" are blank.

    Raises:
        InputError: a key twice.
    """
    table: dict[str, list] = {}
    for row, (name, *values) in entries:
        if name in table:
            raise InputError(
                f"{rows.place(path, row)}: {key} {name!r} a second time. Expected one line each; drop one."
            )
        table[name] = [value or None for value in values]
    columns = {name: pa.array([v[i] for v in table.values()], pa.string()) for i, name in enumerate(names)}
    return SideTable(key, pa.array(table, pa.string()), columns, lists)


def nothing_known(key: str, names: list[str], lists=()) -> SideTable:
    """The table of a file that is not there."""
    return SideTable(key, pa.array([], pa.string()), {name: pa.array([], pa.string()) for name in names}, lists)


def beside(log: Path, *names: str) -> Path | None:
    """The first of these files, plain or gzipped, in the folder of the log."""
    paths = (log.with_name(name + ending) for name in names for ending in ("", ".gz"))
    return next((path for path in paths if path.is_file()), None)


def lines(path: Path) -> Iterator[tuple[Row, str]]:
    """The lines that are not blank, as text: UTF-8, or else latin-1, as some older archives have it."""
    for chunk in rows.chunks(path, LINES):
        for row in LINES.rows(chunk):
            if rows.is_too_long(row):
                raise rows.too_long(path, row)
            yield row, _decode(row.data)


MOST_BYTES = 1 << 30  # of a file that is read as one text


def whole_text(path: Path) -> str:
    """A file that has no lines to cut it at, such as one JSON value; UTF-8, or else latin-1."""
    check_file(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: the gzip data are cut short or damaged ({error}). Fetch the file again.") from error
    except OSError as error:
        raise unreadable(path, error) from error
    if len(data) > MOST_BYTES:
        raise InputError(f"{path}: more than {MOST_BYTES:,} bytes once unpacked. Expected a table that fits memory.")
    return _decode(data)


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def cells(path: Path, separator: str, names: list[str]) -> Iterator[tuple[Row, list[str]]]:
    """Each line of a file without quotes, split.

    Raises:
        InputError: a line with another number of cells than `names`.
    """
    for row, line in lines(path):
        parts = line.split(separator)
        if len(parts) != len(names):
            raise InputError(
                f"{rows.place(path, row)} has {len(parts)} cells; expected {len(names)}, {separator.join(names)}. "
                "Mend the line, or fetch the file again."
            )
        yield row, parts


def first_line(path: Path) -> bytes:
    """The first line that is not blank, b"" where there is none."""
    chunk = next(rows.chunks(path, LINES), None)
    return b"" if chunk is None else next(LINES.rows(chunk)).data


def joined(
    events: dict[str, pa.Array], tables: list[SideTable], columns: dict[str, str], place: Callable[[int], str]
) -> dict[str, pa.Array]:
    """The columns of a block: those of the log and those of the tables beside it.

    Args:
        events: columns of the log.  columns: name -> "text", "number" or "list".
        place: index in the block -> where the row stands.
    """
    found = dict(events)
    for table in tables:
        names = [name for name in columns if name in table.columns]
        if names:
            found |= table.join(events[table.key], names)
    return {name: as_kind(name, found[name], kind, place) for name, kind in columns.items()}


def as_kind(name: str, values: pa.Array, kind: str, place: Callable[[int], str]) -> pa.Array:
    is_text = pa.types.is_string(values.type)
    if kind != "number":
        return values if is_text else _number_text(values)
    if not is_text:
        return values
    missing = ["", UNKNOWN]
    try:
        return numbers(values, missing)
    except pa.ArrowInvalid as error:
        index = first_failure(values, lambda part: numbers(part, missing))
        raise bad_cell(place(index), name, values[index].as_py(), "a finite number") from error


def _number_text(values: pa.Array) -> pa.Array:
    """Whole numbers without a point."""
    whole = pc.equal(values, pc.round(values))
    integers = pc.if_else(whole, values, 0.0).cast(pa.int64()).cast(pa.string())
    return pc.if_else(whole, integers, values.cast(pa.string()))
