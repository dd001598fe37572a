"""Which columns say what is to be predicted."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rectrain.draft import words
from rectrain.draft.columns import Column

_POSITIVE = ("1", "true", "yes", "y", "t", "positive", "pos", "clicked", "click")
_DEEDS = (  # one of these marks a column of actions; the deepest that occurs is the label
    ("buy", "purchase", "order", "transaction", "pay"),
    ("conversion", "install", "signup", "subscribe"),
    ("cart", "add_to_cart", "addtocart", "fav", "favorite", "like"),
    ("click",),
)
_MOST_STARS = 10


@dataclass(frozen=True)
class Label:
    """What data.labels.<task> says: a column of 0 and 1, or a section with a condition; and why."""

    task: str
    column: str
    says: str | dict
    reason: str

    @property
    def is_number(self) -> bool:
        return isinstance(self.says, dict) and "number" in self.says


def guess(columns: list[Column], *, has_names: bool) -> list[Label]:
    """The labels of a file; none where no column looks like one."""
    named = [
        label for column in columns if has_names and column.is_called(words.LABELS) and (label := _two_values(column))
    ]
    if named:
        return named
    by_place = [(columns[0], "the first column"), (columns[-1], "the last column")]
    for column, where in by_place:
        label = _two_values(column, where)
        if label is not None and (column is columns[-1] or _is_zero_or_one(column)):
            return [label]
    for find in (_action, _stars, _zero_or_one):
        found = [label for column in columns if (label := find(column))]
        if found:
            return found[:1]
    return []


def named(column: Column) -> Label | None:
    """The label that a column holds which the user names; None where it has one value, or is text of many."""
    return _two_values(column) or _action(column) or _stars(column) or _number(column)


def truth(label: Label, texts: pa.Array) -> np.ndarray:
    """float64 (N,): the label of each row."""
    says = label.says
    if isinstance(says, dict) and "one_of" in says:
        found = pc.is_in(texts, pa.array(says["one_of"], pa.string()))
        return found.fill_null(False).to_numpy(zero_copy_only=False).astype(float)
    numbers = pc.cast(pc.ascii_trim_whitespace(texts), pa.float64()).fill_null(np.nan).to_numpy()
    if isinstance(says, dict) and "at_least" in says:
        return (numbers >= says["at_least"]).astype(float)  # not a number is not enough
    return numbers


def _two_values(column: Column, where: str = "") -> Label | None:
    if column.distinct != 2:
        return None
    if column.numbers is None:
        positive = _positive(column)
        if column.missing:
            return None
        why = f"{positive!r} or {next(v for v in column.values(2) if v != positive)!r}"
        return Label(_task(column), column.name, {"column": column.name, "one_of": [positive]}, _told(where, why))
    low, high = np.unique(column.numbers)
    if (low, high) == (0, 1) and not column.missing:
        return Label(_task(column), column.name, column.name, _told(where, "0 and 1"))
    if column.missing and not column.is_called(words.LABELS):
        return None
    says = {"column": column.name, "at_least": _tidy(high)}
    why = f"{_tidy(low)} and {_tidy(high)}" + ("; a missing one counts as no" if column.missing else "")
    return Label(_task(column), column.name, says, _told(where, why))


def _zero_or_one(column: Column) -> Label | None:
    return _two_values(column, "the only kind of label that there is") if _is_zero_or_one(column) else None


def _is_zero_or_one(column: Column) -> bool:
    return column.distinct == 2 and column.numbers is not None and set(np.unique(column.numbers)) == {0, 1}


def _action(column: Column) -> Label | None:
    """Of actions, such as pv, cart and buy, the rows of the deepest one."""
    if column.numbers is not None or not 2 <= column.distinct <= 20:
        return None
    values = {value.lower(): value for value in column.values(20)}
    deeds = [deed for deeds in _DEEDS for deed in deeds if deed in values]
    if not deeds or not (len(deeds) > 1 or values.keys() & words.LOOKS):
        return None
    says = {"column": column.name, "one_of": [values[deeds[0]]]}
    return Label(_plain(deeds[0]), column.name, says, f"actions: {', '.join(column.values(20))}")


def _stars(column: Column) -> Label | None:
    """Of ratings, the upper ones."""
    if column.numbers is None or column.missing or not 3 <= column.distinct <= 2 * _MOST_STARS:
        return None
    values = np.unique(column.numbers)
    alike = np.allclose(np.diff(values), np.diff(values)[0]) and values[0] in (0, 0.5, 1) and values[-1] in (5, 10)
    if not alike and not column.is_called(words.RATINGS):
        return None
    enough = _tidy(values[int(0.6 * len(values))])
    why = f"looks like ratings from {_tidy(values[0])} to {_tidy(values[-1])}; {enough} or more counts as a like"
    return Label("like", column.name, {"column": column.name, "at_least": enough}, why)


def _number(column: Column) -> Label | None:
    if column.numbers is None or column.missing or column.distinct < 3:
        return None
    return Label(
        _task(column), column.name, {"column": column.name, "number": True}, "a number, learned by least squares"
    )


def _positive(column: Column) -> str:
    """The value that is called like a yes, or else the rarer one."""
    values = column.values(2)
    return next((value for value in values if value.lower() in _POSITIVE), values[-1])


def _told(where: str, why: str) -> str:
    return f"{where}: {why}" if where else why


def _tidy(x) -> int | float:
    return int(x) if float(x).is_integer() else float(x)


def _task(column: Column) -> str:
    """A name for the task: that of the column, without what a file's name may not have."""
    return _plain(column.name)


def _plain(text: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in text).strip("_")[:100] or "label"
