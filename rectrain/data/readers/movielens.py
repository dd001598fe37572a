"""Reads MovieLens: a log of ratings, with what the files beside it say about movies and users.

The layout is told by the log's first line. Every layout has the same columns:

    user, item                text
    rating                    number; missing in the layout of interactions
    time                      number: unix seconds; of interactions the place in the user's order, from 0
    genres                    text joined by "|", blank where there is none
    genre                     the first of them in the movie's entry
    year                      of the title
    gender, age, occupation   of the user; age is the first year of ML-1M's bands: 1, 18, 25, 35, 45, 50 or 56

What no file tells is "unknown". `data.format` names the reader and nothing else.

Source: Harper and Konstan 2015, "The MovieLens Datasets: History and Context".
"""

import bisect
import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from rectrain.config import FormatConfig
from rectrain.data.blocks import Block
from rectrain.data.readers import csv, rows
from rectrain.data.readers.checks import check_columns, no_rows
from rectrain.data.readers.side_tables import (
    SideTable,
    beside,
    cells,
    first_line,
    joined,
    lines,
    nothing_known,
    side_table,
)
from rectrain.errors import InputError

MOVIE_COLUMNS = ["genres", "genre", "year"]
USER_COLUMNS = ["gender", "age", "occupation"]
COLUMNS = ["user", "item", "rating", "time", *MOVIE_COLUMNS, *USER_COLUMNS]

_AGE_BANDS = (1, 18, 25, 35, 45, 50, 56)
_YEAR = re.compile(r"\((\d{4})(?:[-–]\d{0,4})?\)")
_NO_GENRES = "(no genres listed)"


class SideFile(NamedTuple):
    """A file of the archive that is read with the log."""

    name: str
    read: Callable[[Path], SideTable]
    needed: bool


@dataclass(frozen=True)
class Layout:
    """One of the forms in which MovieLens is passed on."""

    title: str
    start: re.Pattern  # of the first line
    format: FormatConfig  # of the log
    log: dict[str, str]  # our column -> the log's
    movies: SideFile
    users: SideFile | None  # None: the archive has no such file


def read(
    path: Path, columns: dict[str, str], format: FormatConfig, *, advance: Callable[[int], object] | None = None
) -> Iterator[Block]:
    """The ratings of one log in blocks.

    Args:
        columns: name -> "text", "number" or "list"; a list comes as text joined by "|".
        advance: called with the number of raw (compressed) bytes consumed since its last call.
    Raises:
        InputError: names the file, the line at fault and what to do.
    """
    layout = _layout(path)
    check_columns(path, COLUMNS, columns)
    tables = _tables(path, layout, columns)
    kinds = {"user": "text", "item": "text"} | {name: kind for name, kind in columns.items() if name in layout.log}
    kinds |= {table.key: "text" for table in tables}
    for block in _log_blocks(path, layout, kinds, advance):
        events = {name: block.columns[column] for name, column in layout.log.items() if column in block.columns}
        events.setdefault("rating", pa.nulls(block.num_rows, pa.float64()))
        found = joined(events, tables, columns, block.place)
        yield Block(found, block.num_rows, path, block.first_row, block.describe_row)


def column_names(path: Path, format: FormatConfig) -> list[str]:
    _layout(path)
    return COLUMNS


def count_rows(path: Path, format: FormatConfig) -> int:
    """As many as `read` yields, or would if all rows were right."""
    return csv.count_rows(path, _layout(path).format)


def companions(path: Path) -> list[Path]:
    """The files beside the log that `read` reads too.

    Raises:
        InputError: one of them is missing.
    """
    layout = _layout(path)
    flags = _beside(path, FLAGS, layout) if layout is ML_100K else None
    found = (_beside(path, layout.movies, layout), flags, _beside(path, layout.users, layout))
    return [file for file in found if file is not None]


def _layout(path: Path) -> Layout:
    line = first_line(path)
    if not line:
        raise no_rows(path, "only blank lines")
    layout = next((layout for layout in LAYOUTS if layout.start.match(line)), None)
    if layout is None:
        known = "; ".join(layout.title for layout in LAYOUTS)
        raise InputError(
            f"{rows.place(path, rows.Row(1, line, 0))} is not the first line of a log of MovieLens. Expected {known}. "
            "Name such a file with data.files, or set data.format.reader=csv for other layouts."
        )
    return layout


def _log_blocks(path: Path, layout: Layout, kinds: dict[str, str], advance) -> Iterator[Block]:
    wanted = {layout.log[name]: kind for name, kind in kinds.items()}
    try:
        yield from csv.read(path, wanted, layout.format, advance=advance)
    except InputError as error:
        taken = f"The reader movielens took the file for {layout.title}, and reads no other key of data.format."
        raise InputError(f"{error} {taken}") from error


def _tables(path: Path, layout: Layout, columns: dict[str, str]) -> list[SideTable]:
    """What is known about movies and users, where a column asks for it."""
    tables = []
    if not columns.keys().isdisjoint(MOVIE_COLUMNS):
        tables.append(_table(path, layout.movies, layout, "item", MOVIE_COLUMNS))
    if not columns.keys().isdisjoint(USER_COLUMNS):
        tables.append(_table(path, layout.users, layout, "user", USER_COLUMNS))
    return tables


def _table(path: Path, file: SideFile | None, layout: Layout, key: str, names: list[str]) -> SideTable:
    found = _beside(path, file, layout)
    return nothing_known(key, names) if file is None or found is None else file.read(found)


def _beside(path: Path, file: SideFile | None, layout: Layout) -> Path | None:
    found = None if file is None else beside(path, file.name)
    if file is not None and file.needed and found is None:
        raise InputError(
            f"{path}: there is no {file.name} beside it ({path.parent}). The reader movielens took the file for "
            f"{layout.title}, and expected {file.name} (or {file.name}.gz) of the same archive in its folder; put it "
            "there."
        )
    return found


def _movie(identity: str, title: str, genres: list[str]) -> list[str]:
    """An entry of the table of movies."""
    years = _YEAR.findall(title)
    return [identity, "|".join(genres), genres[0] if genres else "", years[-1] if years else ""]


def _movie_table(path: Path, entries) -> SideTable:
    return side_table("item", MOVIE_COLUMNS, entries, path, lists=("genres",))


def _movies_of_u_item(path: Path) -> SideTable:
    """id|title|release|video release|url|one 0 or 1 for each line of u.genre; "unknown" there is no genre."""
    flags = _flag_names(path)
    names = ["id", "title", "release", "video release", "url", *flags]
    return _movie_table(path, (_flagged(path, row, parts, flags) for row, parts in cells(path, "|", names)))


def _flag_names(path: Path) -> list[str]:
    genres = _beside(path, FLAGS, ML_100K)
    assert genres is not None
    return [line.split("|")[0] for _, line in lines(genres)]


def _flagged(path: Path, row: rows.Row, parts: list[str], flags: list[str]):
    identity, title, *_ = parts
    flag_cells = parts[5:]
    if not set(flag_cells) <= {"0", "1"}:
        raise InputError(
            f"{rows.place(path, row)}: genre flags {flag_cells}; expected each to be 0 or 1. Mend the line."
        )
    set_flags = [name for name, flag in zip(flags, flag_cells, strict=True) if flag == "1" and name != "unknown"]
    return row, _movie(identity, title, set_flags)


def _movies_of_dat(path: Path) -> SideTable:
    """id::title::genres joined by |"""
    return _movie_table(
        path,
        (
            (row, _movie(parts[0], parts[1], _listed(parts[2])))
            for row, parts in cells(path, "::", ["id", "title", "genres"])
        ),
    )


def _movies_of_csv(path: Path) -> SideTable:
    """movieId,title,genres, with a header and quoted titles."""
    format = FormatConfig(reader="csv")
    names = ("movieId", "title", "genres")
    entries = []
    for block in csv.read(path, dict.fromkeys(names, "text"), format):
        texts = (block.columns[name].fill_null("").to_pylist() for name in names)
        for index, (identity, title, genres) in enumerate(zip(*texts, strict=True)):
            row = rows.Row(block.first_row + index + 2, f"{identity},{title}".encode(), 0)
            entries.append((row, _movie(identity, title, _listed(genres))))
    return _movie_table(path, entries)


def _listed(genres: str) -> list[str]:
    return [] if genres == _NO_GENRES else [genre for genre in genres.split("|") if genre]


def _users_of_u_user(path: Path) -> SideTable:
    return _user_table(path, cells(path, "|", ["id", "age", "gender", "occupation", "zip"]), age=1, gender=2)


def _users_of_dat(path: Path) -> SideTable:
    return _user_table(path, cells(path, "::", ["id", "gender", "age", "occupation", "zip"]), age=2, gender=1)


def _user_table(path: Path, entries, *, age: int, gender: int) -> SideTable:
    found = ((row, [parts[0], parts[gender], _band(path, row, parts[age]), parts[3]]) for row, parts in entries)
    return side_table("user", USER_COLUMNS, found, path)


def _band(path: Path, row: rows.Row, age: str) -> str:
    if not age.isascii() or not age.isdigit() or int(age) < 1:
        raise InputError(f"{rows.place(path, row)}: age {age!r}; expected a whole number of years. Mend the line.")
    return str(_AGE_BANDS[bisect.bisect(_AGE_BANDS, int(age)) - 1])


FLAGS = SideFile("u.genre", lambda path: nothing_known("genre", []), needed=True)
_delimited = functools.partial(FormatConfig, reader="csv", quote=None)

ML_100K = Layout(
    title="u.data of ML-100k (user, item, rating, timestamp, tab separated)",
    start=re.compile(rb"\d+\t\d+\t"),
    format=_delimited(delimiter="\t", header=False, columns=["user", "item", "rating", "timestamp"]),
    log={"user": "user", "item": "item", "rating": "rating", "time": "timestamp"},
    movies=SideFile("u.item", _movies_of_u_item, needed=True),
    users=SideFile("u.user", _users_of_u_user, needed=True),
)
DAT = Layout(
    title="ratings.dat of ML-1M or ML-10M (user::item::rating::timestamp)",
    start=re.compile(rb"\d+::\d+::"),
    format=_delimited(  # "::" is a colon, an empty cell and a colon
        delimiter=":", header=False, columns=["user", "", "item", " ", "rating", "  ", "timestamp"]
    ),
    log={"user": "user", "item": "item", "rating": "rating", "time": "timestamp"},
    movies=SideFile("movies.dat", _movies_of_dat, needed=True),
    users=SideFile("users.dat", _users_of_dat, needed=False),  # ML-10M has none
)
LATEST = Layout(
    title="ratings.csv of ML-latest, 20M, 25M or 32M (userId,movieId,rating,timestamp)",
    start=re.compile(rb"userId,movieId,rating,timestamp\s*$"),
    format=FormatConfig(reader="csv"),
    log={"user": "userId", "item": "movieId", "rating": "rating", "time": "timestamp"},
    movies=SideFile("movies.csv", _movies_of_csv, needed=True),
    users=None,
)
INTERACTIONS = Layout(
    title="interactions with a header (user_id, pos, movie_id, split, tab separated)",
    start=re.compile(rb"user_id\tpos\tmovie_id\b"),
    format=_delimited(delimiter="\t"),
    log={"user": "user_id", "item": "movie_id", "time": "pos"},
    movies=SideFile("movies.dat", _movies_of_dat, needed=True),
    users=SideFile("users.dat", _users_of_dat, needed=False),
)
LAYOUTS = (ML_100K, DAT, LATEST, INTERACTIONS)
