"""Amazon's reviews as JSON lines: reviewerID, asin, overall, unixReviewTime; other keys are passed over.

The products stand in `meta_<name>.json` beside it, which need not be there: JSON lines or, in the release of 2014,
Python literals, with asin, brand and `categories` (lists of paths) or `category` (one path). The first category of a
path is the store, the same for all products; it is left out where others follow.

Source: McAuley et al. 2015, "Image-based Recommendations on Styles and Substitutes"; Ni et al. 2019, "Justifying
Recommendations using Distantly-Labeled Reviews and Fine-Grained Aspects".
"""

import ast
import functools
import itertools
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.json

from rectrain.data.readers import rows
from rectrain.data.readers.amazon_items import product, product_table
from rectrain.data.readers.checks import finite
from rectrain.data.readers.rows import Chunk, Row
from rectrain.data.readers.side_tables import LINES, SideTable, beside, lines
from rectrain.errors import InputError

_KEYS = {"user": "reviewerID", "item": "asin", "rating": "overall", "time": "unixReviewTime"}
_SCHEMA = pa.schema(
    {"reviewerID": pa.string(), "asin": pa.string(), "overall": pa.float64(), "unixReviewTime": pa.float64()}
)


def events(path: Path, advance) -> Iterator[dict[str, pa.Array]]:
    """user and item: string (N,), none missing; rating and time: float64 (N,), null where a review lacks them."""
    for chunk in rows.chunks(path, LINES, advance):
        for batch in _parse(path, chunk).to_batches():
            if batch.num_rows:
                yield {name: batch[key] for name, key in _KEYS.items()}


def _parse(path: Path, chunk: Chunk) -> pa.Table:
    try:
        table = pa.json.read_json(
            pa.BufferReader(chunk.data),
            read_options=pa.json.ReadOptions(block_size=rows.LINE_BYTES),
            parse_options=pa.json.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="ignore"),
        )
        table.validate(full=True)  # UTF-8
        for key in ("overall", "unixReviewTime"):
            finite(table[key])
    except pa.ArrowInvalid as error:
        raise _explain(path, chunk, error) from error
    if table["reviewerID"].null_count or table["asin"].null_count:
        raise _explain(path, chunk, None)
    return table


def _explain(path: Path, chunk: Chunk, error: Exception | None) -> InputError:
    """What is wrong with the first line that is no review."""
    for row in LINES.rows(chunk):
        if rows.is_too_long(row):
            return rows.too_long(path, row)
        fault = _fault(row.data)
        if fault is not None:
            return InputError(
                f"{rows.place(path, row)}: {fault}. Expected a review as one line of JSON, with reviewerID and asin "
                "(texts), overall and unixReviewTime (numbers); mend the line, or name other files with data.files."
            )
    return InputError(f"{path}: from line {chunk.line} on Arrow cannot read the JSON ({error}). Expected JSON lines.")


def _fault(line: bytes) -> str | None:
    try:
        review = json.loads(line)
    except (ValueError, RecursionError) as error:  # not UTF-8 either
        return f"not JSON ({error})"
    if not isinstance(review, dict):
        return "JSON, but no object"
    for key in ("reviewerID", "asin"):
        if not isinstance(review.get(key), str):
            return f"{key} is {review[key]!r:.80}" if key in review else f"no {key}"
    for key in ("overall", "unixReviewTime"):
        value = review.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if value is not None and not is_number:
            return f"{key} is {value!r:.80}"
    return None


def describe_row(path: Path, row: int) -> str:
    """Where the review of index `row` stands; reads the file up to there."""
    for chunk in rows.chunks(path, LINES):
        num_rows = sum(1 for _ in LINES.rows(chunk))
        if row < num_rows:
            return rows.place(path, next(itertools.islice(LINES.rows(chunk), row, None)))
        row -= num_rows
    raise AssertionError(f"{path} does not have so many reviews")


def find_items(path: Path) -> Path | None:
    """meta_Beauty.json of reviews_Beauty_5.json, Beauty_5.json or reviews_Beauty.json."""
    name = path.name.removesuffix(".gz").removesuffix(".json").removeprefix("reviews_")
    return beside(path, f"meta_{re.sub('_[0-9]+$', '', name)}.json")


def read_items(path: Path) -> SideTable:
    return _read_items(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _read_items(path: Path, changed: int) -> SideTable:
    """Kept for the next pass: a large file of Python literals takes minutes."""
    return product_table(path, ((row, _product(path, row, line)) for row, line in lines(path)))


def _product(path: Path, row: Row, line: str) -> list:
    entry = _literal(line)
    if not isinstance(entry, dict) or not isinstance(entry.get("asin"), str):
        raise InputError(
            f"{rows.place(path, row)}: expected a product as one line of JSON (or a Python literal) with its asin. "
            "Mend the line, or fetch the file again."
        )
    paths = entry.get("categories") or [entry.get("category") or []]
    categories = [str(name) for path in paths for name in (path[1:] or path)]
    return product(entry["asin"], entry.get("brand"), list(dict.fromkeys(categories)))


def _literal(line: str):
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(line)
        except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two: brackets within brackets
            continue
    return None
