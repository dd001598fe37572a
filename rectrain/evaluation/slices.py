"""Metrics of the rows that share a value of a feature: where a model is weak. Letters: N rows, V values."""

from collections.abc import Callable

import numpy as np

from rectrain.evaluation import metrics, regression
from rectrain.evaluation.evaluate import Scored
from rectrain.tasks import Task

LEAST_ROWS = 100  # of a slice that is looked at
_CERTAIN_ROWS, _CERTAIN_CASES = 1_000, 50  # below these, of the rarer class, a slice is small
_MOST_VALUES = 1_000


def slice_metrics(scored: Scored, task: Task, values: np.ndarray, text: Callable[[int], str]) -> dict:
    """The task's metrics on the rows of each value of a feature.

    Args:
        values: int (N,), of the rows of `scored`.  text: what a value is called.
    Returns:
        {"slices": the worst first, small ones last, at most _MOST_VALUES of the most frequent; "left_out": how many
        values have fewer than LEAST_ROWS rows or are beyond that}. A slice is {"value": str, "rows": N, "positives": P,
        "small": bool, "metrics": {metric: {"value", "low", "high"}}}; positives are absent where the label is a number.
    """
    counts = scored.counts(task)
    labels, predictions = scored.of(task)
    present_V, place_N, rows_V = np.unique(values[counts], return_inverse=True, return_counts=True)
    by_value = np.split(np.argsort(place_N, kind="stable"), np.cumsum(rows_V)[:-1])
    chosen = [v for v in np.argsort(-rows_V, kind="stable") if rows_V[v] >= LEAST_ROWS][:_MOST_VALUES]
    slices = [
        {"value": text(int(present_V[v])), **_metrics(labels[by_value[v]], predictions[by_value[v]], task)}
        for v in chosen
    ]
    return {"slices": sorted(slices, key=_badness), "left_out": len(present_V) - len(chosen)}


def _metrics(labels: np.ndarray, predictions: np.ndarray, task: Task) -> dict:
    if task.is_number:
        found = regression.compute(labels, predictions)
        return {"rows": len(labels), "small": len(labels) < _CERTAIN_ROWS, "metrics": {"mse": found["mse"]}}
    positives = int(np.count_nonzero(labels))
    cases = min(positives, len(labels) - positives)
    found = {name: metrics.entry(getattr(metrics, name), labels, predictions) for name in ("auc", "logloss", "pcoc")}
    small = len(labels) < _CERTAIN_ROWS or cases < _CERTAIN_CASES
    return {"rows": len(labels), "positives": positives, "small": small, "metrics": found}


def _badness(found: dict) -> tuple:
    """Small ones last, else lowest AUC or highest mse first; what has no value behind what has one."""
    value = found["metrics"].get("auc", found["metrics"].get("mse"))["value"]
    sign = 1 if "auc" in found["metrics"] else -1
    return found["small"], value is None, 0 if value is None else sign * value
