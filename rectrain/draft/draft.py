"""A first config of a data set, each choice with its reason: guessed from the first rows of a file."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from rectrain.data.readers import csv
from rectrain.draft import columns as cells
from rectrain.draft import features, labels, leaks, sample, splits, times, words
from rectrain.draft.columns import Column
from rectrain.draft.features import Use
from rectrain.draft.labels import Label
from rectrain.draft.layout import Layout, look, parquet_types
from rectrain.draft.sample import Sample
from rectrain.draft.splits import Split
from rectrain.draft.times import Time
from rectrain.errors import InputError, did_you_mean

_FEWEST_A_GROUP = 1.5  # rows, on average


@dataclass(frozen=True)
class Draft:
    layout: Layout
    num_rows: int  # that were looked at
    is_whole: bool  # the file has no others
    null_values: list[str]
    labels: list[Label]
    rates: list[float]  # of each label: its mean in these rows
    time: Time | None
    weight: str | None
    group: str | None
    group_reason: str
    uses: dict[str, Use]  # of every other column
    notes: dict[str, str]  # column -> what a person should look at
    user: str | None
    item: str | None
    split: Split

    @property
    def features(self) -> dict[str, Use]:
        return {name: use for name, use in self.uses.items() if use.settings}

    @property
    def left_out(self) -> dict[str, str]:
        return {name: use.reason for name, use in self.uses.items() if not use.settings}


def draft(path: Path, *, label: list[str] | None, header: bool | None, most_rows: int) -> Draft:
    """Looks at a file.

    Args:
        label: columns of the labels; None: they are guessed.  header: None: it is guessed.
    Raises:
        InputError: the file cannot be read, or nothing in it looks like a label or a feature.
    """
    layout = look(path, header)
    types = parquet_types(path, layout.format) if layout.format.reader == "parquet" else {}
    unread = {name: f"of type {kind}, which is not read" for name, kind in types.items() if not _is_read(kind)}
    names = list(types) if types else csv.column_names(path, layout.format)
    kinds = {name: "list" if _is_list(types.get(name)) else "text" for name in names if name not in unread}
    if not kinds:
        raise InputError(
            f"{path}: none of its columns is of a type that is read: {', '.join(map(str, types.values()))}."
        )
    found = sample.read(path, layout, kinds, most_rows)
    return _Drafter(path, layout, types, found, unread).draft(label)


def _is_list(kind: pa.DataType | None) -> bool:
    return kind is not None and any(
        is_kind(kind) for is_kind in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    )


def _is_read(kind: pa.DataType) -> bool:
    inner = kind.value_type if _is_list(kind) else kind
    if pa.types.is_dictionary(inner):
        inner = inner.value_type
    is_text = pa.types.is_string(inner) or pa.types.is_large_string(inner)
    return is_text or pa.types.is_primitive(inner) or pa.types.is_decimal(inner)


def _is_weight(column: Column) -> bool:
    if column.numbers is None or column.missing or column.distinct == 1:
        return False
    return column.name.lower() in words.WEIGHTS and bool((column.numbers >= 0).all())


class _Drafter:
    """One file: its first rows as columns of text, and of lists."""

    def __init__(self, path: Path, layout: Layout, types: dict, found: Sample, unread: dict[str, str]):
        self.path, self.types, self.sample, self.unread = path, types, found, unread
        text = {name: column for name, column in found.columns.items() if pa.types.is_string(column.type)}
        self.lists = {name: column for name, column in found.columns.items() if name not in text}
        self.null_values = cells.nulls(text) if layout.format.reader == "csv" else []
        self.columns = {name: Column(name, cells.without(column, self.null_values)) for name, column in text.items()}
        null_values = ["", *self.null_values]
        self.layout = dataclasses.replace(layout, format=dataclasses.replace(layout.format, null_values=null_values))

    def draft(self, label: list[str] | None) -> Draft:
        timestamps = {name for name, kind in self.types.items() if pa.types.is_temporal(kind)}
        time, dates = times.choose(list(self.columns.values()), timestamps)
        chosen = self._guessed_labels(dates) if label is None else [self._named_label(name) for name in label]
        truths = [labels.truth(one, self.columns[one.column].texts) for one in chosen]
        if time is not None and time.config.column in [one.column for one in chosen]:
            time = None
        weight = self._weight(chosen)
        taken = {*(one.column for one in chosen), weight, None if time is None else time.config.column}
        uses, notes = self._uses(taken, dates, chosen, truths)
        if not any(use.settings for use in uses.values()):
            raise self._no_features(uses)
        group, group_reason = self._group(uses)
        return Draft(
            layout=self.layout,
            num_rows=self.sample.num_rows,
            is_whole=self.sample.is_whole,
            null_values=self.null_values,
            labels=chosen,
            rates=[float(np.nanmean(truth)) for truth in truths],
            time=time,
            weight=weight,
            group=group,
            group_reason=group_reason,
            uses=uses,
            notes=notes,
            user=self._called(words.USERS, uses),
            item=self._called(words.ITEMS, uses),
            split=splits.choose(None if time is None else self._moments(time), truths),
        )

    def _moments(self, time: Time) -> np.ndarray:
        return times.moments(self.columns[time.config.column].texts, time.config)

    def _guessed_labels(self, dates: dict[str, str]) -> list[Label]:
        candidates = [column for name, column in self.columns.items() if name not in dates]
        found = labels.guess(candidates, has_names=self.layout.format.columns is None) if candidates else []
        if not found:
            raise InputError(
                f"{self.path}: none of its {len(self.columns)} columns looks like a label (0 and 1, two values, "
                f"actions or ratings). Name the column with label=NAME; there are {', '.join(list(self.columns)[:20])}."
            )
        return found

    def _named_label(self, name: str) -> Label:
        if name not in self.columns:
            raise InputError(f"label={name}: there is no such column in {self.path}.{did_you_mean(name, self.columns)}")
        column = self.columns[name]
        found = labels.named(column)
        if found is None:
            values = ", ".join(map(repr, column.values(3)))
            raise InputError(
                f"label={name}: the column holds {column.distinct:,} different values in the first "
                f"{column.num_rows:,} rows ({values}), {column.missing:.1%} missing; expected 0 and 1, two values, "
                "actions or ratings. Name another column, or look at more rows with rows=N."
            )
        return found

    def _weight(self, chosen: list[Label]) -> str | None:
        labelled = [label.column for label in chosen]
        return next((name for name, c in self.columns.items() if name not in labelled and _is_weight(c)), None)

    def _uses(self, taken, dates, chosen, truths) -> tuple[dict[str, Use], dict[str, str]]:
        """What to make of each column that is not taken, and what is to be looked at."""
        uses = {name: Use({}, reason) for name, reason in self.unread.items()}
        notes: dict[str, str] = {}
        for name, column in self.columns.items():
            if name in taken:
                continue
            gives_away, said = self._leak(column, chosen, truths)
            if gives_away:
                uses[name] = Use({}, said)
            elif name in dates:
                uses[name] = Use({}, f"moments ({dates[name]}), which are no feature as they are")
            else:
                uses[name] = features.of_text(column)
                notes |= {name: said} if said and uses[name].settings else {}
        uses |= {name: features.of_lists(name, column, self.types[name]) for name, column in self.lists.items()}
        order = [name for name in (self.types or self.sample.columns) if name in uses]
        return {name: uses[name] for name in order}, notes

    def _leak(self, column: Column, chosen: list[Label], truths: list[np.ndarray]) -> tuple[bool, str]:
        found = [leaks.find(column, truth) for label, truth in zip(chosen, truths, strict=True) if not label.is_number]
        return max(found, default=(False, ""))

    def _called(self, called: frozenset[str], uses: dict[str, Use]) -> str | None:
        """The first categorical feature whose name says what it is."""
        for name, use in uses.items():
            if use.settings.get("type") == "categorical" and self.columns[name].is_called(called):
                return name
        return None

    def _group(self, uses: dict[str, Use]) -> tuple[str | None, str]:
        for called in (words.LISTS, words.USERS):
            for name, column in self.columns.items():
                rows = column.num_present / max(column.distinct, 1)
                if name in uses and column.is_called(called) and rows >= _FEWEST_A_GROUP and column.distinct > 1:
                    return name, f"rows ranked against each other (GAUC): {rows:.1f} a value"
        return None, ""

    def _no_features(self, uses: dict[str, Use]) -> InputError:
        reasons = "; ".join(f"{name}: {use.reason}" for name, use in list(uses.items())[:10])
        return InputError(
            f"{self.path}: no column is left that would make a feature. {reasons or 'There is no other.'}"
        )
