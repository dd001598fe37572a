"""What a column that is no label, time or weight is good for as a feature, or why it is none."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rectrain.draft import words
from rectrain.draft.columns import Column

_SEPARATORS = ("|", ";", ",", " ")
_FEW_VALUES = 50  # whole numbers of so few different values are codes
_NEARLY_UNIQUE = 0.95  # distinct values a cell
_MANY_VALUES = 0.5  # the same, from which on a vocabulary grows with the file
_FEWEST_ROWS = 20  # below which nothing is called unique
_ENOUGH_ROWS = 10_000  # for values that occur once to be left out of a vocabulary
_LONG_TEXT = 40  # characters
_LONGEST_LIST = 50
_TAIL = 20  # a largest value so many times the median is a long tail


@dataclass(frozen=True)
class Use:
    """settings: of the feature group, {} where the column is left out."""

    settings: dict
    reason: str


def of_text(column: Column) -> Use:
    """What to make of a column of text."""
    refused = _useless(column)
    if refused is not None:
        return refused
    separator = _separator(column)
    if separator is not None:
        lists = pc.split_pattern(column.texts, separator)
        return _list(column.num_rows, lists, {"separator": separator}, f"values between {separator!r}")
    if column.numbers is None:
        return _categories(column)
    return _whole_numbers(column) if column.is_whole else _amounts(column, "numbers")


def of_lists(name: str, lists: pa.Array, kind: pa.DataType) -> Use:
    """What to make of a list column of a parquet file."""
    if pa.types.is_floating(kind.value_type):
        return Use({}, "vectors of numbers, which no type of feature reads")
    if not len(pc.list_flatten(lists).drop_null()):
        return Use({}, "empty lists alone")
    return _list(len(lists), lists, {}, "lists")


def _useless(column: Column) -> Use | None:
    if column.distinct == 0:
        return Use({}, "blank in every row")
    if column.distinct == 1 and not column.texts.null_count:
        return Use({}, f"the same in every row: {column.values(1)[0]!r:.40}")
    if column.distinct == 1:
        return None
    if _is_bracketed(column):
        return Use({}, "lists in brackets: write them as a|b|c, or as a list column of parquet, to use them")
    if column.num_present < _FEWEST_ROWS or column.uniqueness < _NEARLY_UNIQUE:
        return None
    counted = f"{column.distinct:,} values in {column.num_present:,} rows"
    if column.numbers is None:
        what = "free text" if _mean_length(column) > _LONG_TEXT else "names the row"
        return Use({}, f"{counted}: {what}, which would be learned by heart")
    if column.is_whole and (column.is_called(words.ROWS) or _counts_up(column)):
        return Use({}, f"{counted}: numbers the rows, and would be learned by heart")
    return None


def _is_bracketed(column: Column) -> bool:
    return all(value[0] + value[-1] in ("[]", "{}", "()") for value in column.values(100))


def _mean_length(column: Column) -> float:
    return pc.mean(pc.utf8_length(column.texts)).as_py()


def _counts_up(column: Column) -> bool:
    assert column.numbers is not None
    steps = np.diff(column.numbers)
    return bool((steps == 1).all())


def _separator(column: Column) -> str | None:
    """What stands between the values of a cell: they come again in other cells more than whole cells do."""
    if column.numbers is not None:
        return None
    for separator in _SEPARATORS:
        has_some = pc.match_substring(column.texts, separator)
        share = pc.mean(has_some.cast(pa.int8())).as_py() or 0
        if share >= 0.1 and _is_list(column, separator):
            return separator
    return None


def _is_list(column: Column, separator: str) -> bool:
    items = pc.list_flatten(pc.split_pattern(column.texts.drop_null(), separator))
    if separator in ", " and pc.any(pc.match_substring_regex(items, r"^\s|^$|[^\w.:-]")).as_py():
        return False  # a sentence, or a place and its state
    if separator == " " and not pc.all(pc.match_substring_regex(items, r"^\d+$")).as_py():
        return False
    return pc.count_distinct(items).as_py() < column.distinct


def _list(num_rows: int, lists: pa.Array, settings: dict, what: str) -> Use:
    lengths = pc.list_value_length(lists).drop_null()
    longest = max(pc.max(lengths).as_py(), 1)
    kept = min(longest, _LONGEST_LIST)
    cut = "" if kept == longest else f", of which {kept} are kept"
    reason = f"{what}, {pc.mean(lengths).as_py():.1f} a row, at most {longest}{cut}"
    return Use({"type": "multi_valued", **settings, "max_length": kept, "min_count": _min_count(num_rows)}, reason)


def _categories(column: Column) -> Use:
    counted = _told(column, f"{column.distinct:,} values")
    if column.distinct >= _FEWEST_ROWS and column.uniqueness > _MANY_VALUES:
        buckets = 2 ** int(np.ceil(np.log2(2 * column.distinct)))
        return Use({"type": "categorical", "hash_buckets": buckets}, f"{counted}, and new ones will come: hashed")
    return Use({"type": "categorical", "min_count": _min_count(column.num_rows)}, counted)


def _min_count(num_rows: int) -> int:
    return 2 if num_rows >= _ENOUGH_ROWS else 1


def _whole_numbers(column: Column) -> Use:
    if column.is_called(words.AMOUNTS):
        return _amounts(column, "whole numbers")
    if column.distinct <= _FEW_VALUES or column.is_called(words.CODES) or _is_spread_evenly(column):
        return _categories(column)
    return _amounts(column, "whole numbers")


def _is_spread_evenly(column: Column) -> bool:
    """As ids are; counts and sums crowd at their low end."""
    low, middle, high = _range(column)
    return bool(column.uniqueness < _NEARLY_UNIQUE and low >= 0 and middle >= 0.1 * high)


def _range(column: Column) -> tuple[float, float, float]:
    """Least, median and greatest."""
    assert column.numbers is not None
    return column.numbers.min(), np.median(column.numbers), column.numbers.max()


def _amounts(column: Column, what: str) -> Use:
    assert column.numbers is not None
    low, middle, high = _range(column)
    sizes = np.abs(column.numbers)
    has_tail = sizes.max() > _TAIL * max(np.median(sizes), 1)
    counted = _told(column, f"{what} from {low:,.6g} to {high:,.6g}, half of them up to {middle:,.6g}")
    return Use({"type": "numeric", "transform": "log1p" if has_tail else "standardize"}, counted)


def _told(column: Column, counted: str) -> str:
    return f"{counted}; {column.missing:.1%} missing" if column.texts.null_count else counted
