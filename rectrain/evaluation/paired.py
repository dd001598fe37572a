"""Two configurations on the same rows, each with one run or one a seed: how much better the one is, task by task."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from rectrain.evaluation.intervals import student_quantile
from rectrain.evaluation.metrics import UndefinedMetricError, auc_by_row, losses_by_row
from rectrain.tasks import Task

HIGHER_IS_BETTER = {"auc": True, "logloss": False, "mse": False}


class Rows(Protocol):
    """Labels and predictions of the rows that count for a task: Scored, or KeptScores."""

    def of(self, task: Task) -> tuple[np.ndarray, np.ndarray]: ...


class Side(NamedTuple):
    """A metric of one configuration on N rows."""

    values: list[float]  # of each run
    parts: np.ndarray  # float64 (N,): what each row adds, on the mean over the runs


class Variance(NamedTuple):
    value: float
    freedom: float


def sides(task: Task, runs: Sequence[Rows]) -> dict[str, Side]:
    """{metric: Side}: auc and logloss, or mse where the label is a number; without one that these rows do not have."""
    found = {}
    for metric, by_row in _metrics(task).items():
        try:
            found[metric] = _side(by_row(*run.of(task)) for run in runs)
        except UndefinedMetricError:
            continue
    return found


def _metrics(task: Task) -> dict[str, Callable]:
    return {"mse": _squares} if task.is_number else {"auc": auc_by_row, "logloss": _losses}


def _losses(labels, scores) -> tuple[float, np.ndarray]:
    losses = losses_by_row(labels, scores)
    return float(losses.mean()), losses


def _squares(labels, predictions) -> tuple[float, np.ndarray]:
    if len(labels) < 2:
        raise UndefinedMetricError("fewer than two rows: nothing is known of their spread")
    squares = (labels - predictions.astype(np.float64)) ** 2
    return float(squares.mean()), squares


def _side(runs: Iterable[tuple[float, np.ndarray]]) -> Side:
    """One run after the other, so that the parts of two are held at most."""
    values, total = [], np.zeros(1)
    for value, parts in runs:
        values.append(value)
        total = total + parts
    return Side(values, total / len(values))


def differences(ours: dict[str, Side], theirs: dict[str, Side], labels: np.ndarray, level: float) -> dict[str, dict]:
    """{metric: {"difference", "low", "high", "verdict"}}: the mean of our runs minus that of theirs.

    The interval covers what other rows and other seeds would change: the spread over rows is DeLong's (of losses: that
    of a mean) for the mean over the runs, and that over seeds is added to it. Where only one side has several runs the
    other's seeds are taken to spread as much; where neither has, the interval is one of these very runs.

    Args:
        labels: float (N,), of the rows that both have scored.  level: that the interval covers.
    """
    strata = {"auc": [labels == 1, labels != 1]}
    return {
        metric: _told(metric, ours[metric], theirs[metric], strata.get(metric, [slice(None)]), level)
        for metric in ours
        if metric in theirs
    }


def _told(metric: str, ours: Side, theirs: Side, strata: list, level: float) -> dict:
    difference = float(np.mean(ours.values) - np.mean(theirs.values))
    half = _half_width([*_of_rows(ours.parts - theirs.parts, strata), *_of_seeds(ours, theirs)], level)
    low, high = difference - half, difference + half
    better, worse = ("better", "worse") if HIGHER_IS_BETTER[metric] else ("worse", "better")
    verdict = better if low > 0 else worse if high < 0 else "no difference"
    return {"difference": difference, "low": low, "high": high, "verdict": verdict}


def _of_rows(parts: np.ndarray, strata: list) -> list[Variance]:
    of_strata = [parts[stratum] for stratum in strata]
    return [Variance(float(part.var(ddof=1)) / len(part), len(part) - 1) for part in of_strata]


def _of_seeds(ours: Side, theirs: Side) -> list[Variance]:
    several = [side.values for side in (ours, theirs) if len(side.values) > 1]
    if not several:
        return []
    spreads = [side.values if len(side.values) > 1 else several[0] for side in (ours, theirs)]
    return [
        Variance(float(np.var(spread, ddof=1)) / len(side.values), len(spread) - 1)
        for side, spread in zip((ours, theirs), spreads, strict=True)
    ]


def _half_width(variances: list[Variance], level: float) -> float:
    """Of the interval around a sum of independent estimates.

    Source: Satterthwaite 1946, "An Approximate Distribution of Estimates of Variance Components".
    """
    total = sum(variance.value for variance in variances)
    if not total:
        return 0.0
    freedom = total**2 / sum(variance.value**2 / variance.freedom for variance in variances)
    return student_quantile(level, freedom) * math.sqrt(total)
