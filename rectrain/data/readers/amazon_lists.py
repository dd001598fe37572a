"""Amazon's reviews as lists: each line "user item item ...", in the order of time; an event is one item of a line.

The file `<name>_item2attributes.json` beside it, {item: [attribute, ...]}, need not be there. It does not say which
attributes are brands, but its lists tell: a product's brand comes first, if it is given, and then the categories, from
the department down. So a first attribute that is nowhere but first is a brand. (In Beauty the others are the six
departments.)

Source: Zhou et al. 2020, "S3-Rec: Self-Supervised Learning for Sequential Recommendation", whose files these are.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rectrain.data.readers import rows
from rectrain.data.readers.amazon_items import product, product_table
from rectrain.data.readers.rows import Chunk, Row
from rectrain.data.readers.side_tables import LINES, SideTable, beside, whole_text
from rectrain.errors import InputError


def events(path: Path, advance) -> Iterator[dict[str, pa.Array]]:
    """user and item: string (N,); time: float64 (N,), the item's place in its line; rating: null."""
    user_before = None
    for chunk in rows.chunks(path, LINES, advance):
        words = _words(path, chunk)
        starts = words.offsets.to_numpy()[:-1] - words.offsets[0].as_py()
        lengths = np.diff(words.offsets.to_numpy()) - 1
        flat = words.flatten()
        users = flat.take(pa.array(starts))
        _check(path, chunk, users, lengths, user_before)
        user_before = users[-1].as_py()
        num_events = int(lengths.sum())
        place = np.arange(num_events) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        yield {
            "user": flat.take(pa.array(np.repeat(starts, lengths))),
            "item": flat.take(pa.array(np.repeat(starts + 1, lengths) + place)),
            "time": pa.array(place.astype(np.float64)),
            "rating": pa.nulls(num_events, pa.float64()),
        }


def _words(path: Path, chunk: Chunk) -> pa.ListArray:
    """The words of each line that is not empty."""
    text = pa.array([chunk.data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")], pa.binary())
    try:
        found = pc.split_pattern(text.cast(pa.string()), "\n").flatten()
    except pa.ArrowInvalid as error:
        raise _not_utf8(path, chunk) from error
    filled = found.filter(pc.not_equal(found, ""))
    return pc.ascii_split_whitespace(pc.ascii_trim_whitespace(filled))


def _not_utf8(path: Path, chunk: Chunk) -> InputError:
    for row in LINES.rows(chunk):
        try:
            row.data.decode()
        except UnicodeDecodeError:
            return InputError(
                f"{rows.place(path, row)} is not UTF-8. Expected text in UTF-8; convert the file "
                "(iconv -f LATIN1 -t UTF-8), or name other files with data.files."
            )
    raise AssertionError(f"{path}: Arrow refuses what Python decodes")


def _check(path: Path, chunk: Chunk, users: pa.Array, lengths: np.ndarray, user_before: str | None):
    """Each line a user and items, and no user in two lines running, as in a file of one pair a line."""
    without_items = np.flatnonzero(lengths < 1)
    if without_items.size:
        row = _row(chunk, int(without_items[0]))
        raise InputError(f"{rows.place(path, row)}: expected a user and then at least one item. Mend the line.")
    before = pa.concat_arrays([pa.array([user_before], pa.string()), users[:-1]])
    again = np.flatnonzero(pc.fill_null(pc.equal(users, before), False).to_numpy(zero_copy_only=False))
    if again.size:
        raise InputError(
            f"{rows.place(path, _row(chunk, int(again[0])))}: the user of the line before. Expected one line a user, "
            "'user item item ...' in the order of time; join the user's lines."
        )


def _row(chunk: Chunk, index: int) -> Row:
    return next(itertools.islice(LINES.rows(chunk), index, None))


def describe_row(path: Path, row: int) -> str:
    """Where the event of index `row` stands; reads the file up to there."""
    for chunk in rows.chunks(path, LINES):
        lengths = np.diff(_words(path, chunk).offsets.to_numpy()) - 1
        if row < lengths.sum():
            line = int(np.searchsorted(np.cumsum(lengths), row, side="right"))
            return f"{rows.place(path, _row(chunk, line))}, item {row - lengths[:line].sum() + 1}"
        row -= int(lengths.sum())
    raise AssertionError(f"{path} does not have so many events")


def find_items(path: Path) -> Path | None:
    name = path.name.removesuffix(".gz").removesuffix(".txt")
    return beside(path, f"{name}_item2attributes.json")


def read_items(path: Path) -> SideTable:
    table = _attributes(path)
    categories = {attribute for attributes in table.values() for attribute in attributes[1:]}
    row = Row(1, b"", 0)  # JSON has no line of its own for an item; its keys cannot repeat either
    return product_table(path, ((row, _product(item, found, categories)) for item, found in table.items()))


def _product(item: str, attributes: list[str], categories: set[str]) -> list:
    has_brand = bool(attributes) and attributes[0] not in categories
    return product(item, attributes[0] if has_brand else None, attributes[has_brand:])


def _attributes(path: Path) -> dict[str, list[str]]:
    """item -> its attributes as texts."""
    try:
        table = json.loads(whole_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}). Expected {{item: [attribute, ...]}}; fetch it again.") from error
    is_table = isinstance(table, dict) and all(isinstance(attributes, list) for attributes in table.values())
    if not is_table:
        raise InputError(f"{path}: JSON, but not a table {{item: [attribute, ...]}} as expected; fetch it again.")
    return {item: list(dict.fromkeys(map(str, attributes))) for item, attributes in table.items()}
