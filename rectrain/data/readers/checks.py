"""What all readers check alike: files, column names, and cells that are to be numbers."""

import difflib
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from rectrain.errors import InputError, did_you_mean


def check_file(path: Path, key: str = "data.files"):
    """Refuses what is no file, cannot be opened or holds no bytes.

    Args:
        key: the config key that led to the file.
    Raises:
        InputError: names the file and the key.
    """
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise InputError(
            f"{path}: neither a file nor a folder. Expected a file on disk, which is read twice; see {key}."
        )
    try:
        with open(path, "rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise unreadable(path, error, key) from error
    if empty:
        raise no_rows(path, "0 bytes", key)


def unreadable(path: Path, error: OSError, key: str = "data.files") -> InputError:
    return InputError(
        f"{path}: cannot be read ({error.strerror or error}). Expected a file that you may read; "
        f"mend that, or name other files with {key}."
    )


def no_rows(path: Path, received: str, key: str = "data.files") -> InputError:
    return InputError(
        f"{path}: the file is empty ({received}). Expected at least one row of data; "
        f"fetch or write it again, or leave it out with {key}."
    )


def check_columns(path: Path, names: list[str], wanted: Iterable[str]):
    """Each name of the file once, and all that are wanted among them.

    Raises:
        InputError: names the file and the column.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{path}: {_quote(twice)} named twice among its columns. Expected each name once; rename one.")
    missing = [name for name in wanted if name not in names]
    if missing:
        raise InputError(
            f"{path}: no column {_quote(missing)}.{_near(missing[0], names)} Columns are asked for by data.labels, "
            "data.features, data.weight, data.group, data.time and data.split: mend the name there."
        )


def _quote(names):
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _near(name, names):
    """Like `did_you_mean`, but lists no more of a wide file's columns than a person reads."""
    if difflib.get_close_matches(name, names, n=1, cutoff=0.6) or len(names) <= 50:
        return did_you_mean(name, names)
    return f" The file has {len(names)} columns: {_quote(names)}."


def numbers(text: pa.Array, missing: Iterable[str]) -> pa.Array:
    """string (N,) -> float64 (N,), null where the cell, stripped of blanks, is one of `missing`.

    Raises:
        pa.ArrowInvalid: a cell is no number, or no finite one.
    """
    try:
        values = text.cast(pa.float64())
    except pa.ArrowInvalid:
        values = stripped(text, missing).cast(pa.float64())
    return finite(values)


def stripped(text: pa.Array, missing: Iterable[str]) -> pa.Array:
    """Text without blanks at its ends; null where it is one of `missing`."""
    text = pc.ascii_trim_whitespace(text)
    return pc.if_else(pc.is_in(text, pa.array(missing, text.type)), pa.scalar(None, text.type), text)


def finite(values: pa.Array) -> pa.Array:
    if not pc.all(pc.is_finite(values), min_count=0).as_py():
        raise pa.ArrowInvalid("NaN or infinity")
    return values


def first_failure(cells: pa.Array, convert: Callable[[pa.Array], pa.Array]) -> int:
    """Index of the first cell at which `convert` raises ArrowInvalid; it does so for all cells together."""
    low, high = 0, len(cells)  # cells[:low] pass, cells[low:high] do not
    while high - low > 1:
        middle = (low + high) // 2
        try:
            convert(cells[low:middle])
        except pa.ArrowInvalid:
            high = middle
        else:
            low = middle
    return low


def bad_cell(place: str, column: str, value, expected: str) -> InputError:
    """`place`: "train.csv, line 3"; `expected`: with how a missing value is written."""
    return InputError(
        f"{place}: column {column!r} holds {_shorten(value)}; expected {expected}. "
        "Mend the cell, or change the key that names the column: data.labels (0 or 1; of a label in words, those that "
        f'mean 1: data.labels.<name>={{column: {column}, one_of: ["yes"]}}), data.features (its type), data.weight or '
        "data.time."
    )


def _shorten(value) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}..."
