"""Columns that know the label: what is written after the event, or is the label by another name."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rectrain.data.vocab import is_null
from rectrain.draft.columns import Column
from rectrain.evaluation.metrics import auc

_LEAKS = 0.99  # AUC of a column alone from which on it is left out
_SUSPICIOUS = 0.95
_FEWEST = 5  # rows of each class, in either half


def find(column: Column, labels: np.ndarray) -> tuple[bool, str]:
    """(whether the column gives a label away, what is to be said about it; '' for nothing).

    Args:
        labels: float (N,), 0 or 1.
    """
    alone = alone_auc(column, labels)
    if alone is None or alone < _SUSPICIOUS:
        return False, ""
    said = f"this column alone has an AUC of {alone:.4f}"
    if alone < _LEAKS:
        return False, f"{said}: is it known before the event?"
    if column.texts.null_count and _auc_of(is_null(column.texts), labels) >= _LEAKS:
        return True, f"gives the label away: it is filled in where the label is 1 ({said})"
    return True, f"gives the label away: {said}"


def alone_auc(column: Column, labels: np.ndarray) -> float | None:
    """AUC of the rate of each value, from every other row, on the rows between; of numbers also of the numbers.

    None where a half has too few rows of a class to tell.
    """
    halves = labels[0::2], labels[1::2]
    if any(min((half == 1).sum(), (half == 0).sum()) < _FEWEST for half in halves):
        return None
    codes = pc.fill_null(pc.index_in(column.texts, column.texts.unique()), 0).to_numpy()
    known, seen = codes[0::2], codes[1::2]
    positives = np.bincount(known, halves[0], minlength=codes.max() + 1)
    counts = np.bincount(known, minlength=codes.max() + 1)
    rates = (positives + halves[0].mean()) / (counts + 1)  # one row of the base rate: values that were not seen have it
    best = _auc_of(rates[seen], halves[1])
    if column.numbers is not None:
        numbers = pc.cast(pc.ascii_trim_whitespace(column.texts), pa.float64())
        present = ~is_null(numbers)
        if len(np.unique(labels[present])) == 2:
            best = max(best, _auc_of(numbers.drop_null().to_numpy(), labels[present]) * present.mean())
    return best


def _auc_of(scores: np.ndarray, labels: np.ndarray) -> float:
    """In either direction."""
    value = auc(labels, np.asarray(scores, float)).value
    return max(value, 1 - value)
