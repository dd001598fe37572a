"""Two models on the same rows: how much better the one is, task by task."""

import numpy as np

from rectrain.evaluation.evaluate import Scored
from rectrain.evaluation.intervals import normal_quantile
from rectrain.evaluation.metrics import (
    UndefinedMetricError,
    paired_auc_difference,
    paired_logloss_difference,
)
from rectrain.tasks import Task

HIGHER_IS_BETTER = {"auc": True, "logloss": False, "mse": False}
_LEVEL = 0.95


def paired_differences(ours: Scored, theirs: Scored, tasks: list[Task]) -> dict[str, dict]:
    """{task: {metric: {"difference", "low", "high", "verdict"}}}: our metric minus theirs with its 95 % interval.

    Both have scored the same rows. auc by paired DeLong and logloss, or mse where the label is a number. The verdict is
    "better" or "worse" where the interval leaves 0 out, else "no difference". A metric that does not exist on these
    rows is absent.
    """
    assert np.array_equal(ours.labels, theirs.labels)
    return {task.name: _differences(*ours.of(task), theirs.of(task)[1], task) for task in tasks}


def _differences(labels: np.ndarray, ours: np.ndarray, theirs: np.ndarray, task: Task) -> dict:
    if task.is_number:
        return {"mse": _told("mse", *_of_squares(labels, ours, theirs))}
    found = {}
    for name, compute in (("auc", paired_auc_difference), ("logloss", paired_logloss_difference)):
        try:
            difference = compute(labels, ours, theirs, _LEVEL)
        except UndefinedMetricError:
            continue
        found[name] = _told(name, difference.difference, difference.low, difference.high)
    return found


def _of_squares(labels, ours, theirs) -> tuple[float, float, float]:
    gained = (labels - ours.astype(np.float64)) ** 2 - (labels - theirs.astype(np.float64)) ** 2
    mean, half = gained.mean(), normal_quantile(_LEVEL) * gained.std(ddof=1) / np.sqrt(len(gained))
    return float(mean), float(mean - half), float(mean + half)


def _told(metric: str, difference: float, low: float, high: float) -> dict:
    sides = ("better", "worse") if HIGHER_IS_BETTER[metric] else ("worse", "better")
    verdict = sides[0] if low > 0 else sides[1] if high < 0 else "no difference"
    return {"difference": difference, "low": low, "high": high, "verdict": verdict}
