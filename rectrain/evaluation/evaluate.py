"""Scores every row of a split once and computes its metrics."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from rectrain.evaluation import curves, regression
from rectrain.evaluation.metrics import UndefinedMetricError, compute
from rectrain.progress import Progress
from rectrain.tasks import Task

_ROC_POINTS = 200
_CALIBRATION_BINS = 20


@dataclass(frozen=True)
class Scored:
    """Rows in the order of the split. 12 bytes a row for one task without groups, whatever the model."""

    labels: np.ndarray  # float32 (N, K)
    probabilities: dict[str, np.ndarray]  # task -> float32 (N,); predicted numbers where the label is one
    groups: np.ndarray | None  # int64 (N,); 0: no group

    def of(self, task: Task) -> tuple[np.ndarray, np.ndarray]:
        """Labels and predictions of the rows that count for a task."""
        counts = self.counts(task)
        return self.labels[counts, task.column], self.probabilities[task.name][counts]

    def counts(self, task: Task) -> np.ndarray | slice:
        return slice(None) if task.given is None else self.labels[:, task.given] == 1

    def gathered(self, gather_rows: Callable[[dict], dict | None]) -> "Scored | None":
        """The rows of all processes, each of which has scored some; None where they go to another one.

        Args:
            gather_rows: {name: (N, ...)} -> the same of all.
        """
        columns = {"labels": self.labels, **{f"scores of {task}": p for task, p in self.probabilities.items()}}
        found = gather_rows(columns if self.groups is None else {**columns, "groups": self.groups})
        if found is None:
            return None
        return Scored(found["labels"], {t: found[f"scores of {t}"] for t in self.probabilities}, found.get("groups"))


def score_rows(score: Callable[[dict], dict], batches: Iterable[dict], progress: Progress) -> Scored:
    """Runs `score` (batch -> {task: probabilities}) over all batches."""

    def scored(batch):
        scores = {task: np.asarray(values) for task, values in score(batch).items()}
        groups = np.asarray(batch["group"]) if "group" in batch else None
        return Scored(np.asarray(batch["labels"]), scores, groups)

    return join_scored(map(scored, batches), progress)


def join_scored(parts: Iterable[Scored], progress: Progress) -> Scored:
    """The rows of one after the other."""
    labels: list[np.ndarray] = []
    groups: list[np.ndarray] = []
    probabilities: dict[str, list[np.ndarray]] = {}
    for part in parts:
        for task, values in part.probabilities.items():
            probabilities.setdefault(task, []).append(values)
        labels.append(part.labels)
        if part.groups is not None:
            groups.append(part.groups)
        progress.advance(len(part.labels))
        progress.add_rows(len(part.labels))
    joined = {task: np.concatenate(values) for task, values in probabilities.items()}
    return Scored(np.concatenate(labels), joined, np.concatenate(groups) if groups else None)


def _told_apart(groups: np.ndarray) -> np.ndarray:
    """Rows without a group (0) as groups of their own, which GAUC leaves out: they are not ranked together."""
    return np.where(groups == 0, -1 - np.arange(len(groups)), groups)


def split_metrics(scored: Scored, tasks: list[Task], seed: int) -> dict[str, dict]:
    """{task: {"rows": N, "positives": P, metric: {"value", "low", "high"}}}, of the rows that count for the task.

    Args:
        seed: of the bootstrap intervals.
    """
    return {task.name: _task_metrics(scored, task, seed) for task in tasks}


def _task_metrics(scored: Scored, task: Task, seed: int) -> dict:
    labels, predictions = scored.of(task)
    if task.is_number:
        counts, found = {"rows": len(labels)}, regression.compute(labels, predictions)
    else:
        groups = None if scored.groups is None else _told_apart(scored.groups)[scored.counts(task)]
        counts = {"rows": len(labels), "positives": int(np.count_nonzero(labels))}
        found = compute(labels, predictions, groups=groups, seed=seed)
    return counts | {name: entry for name, entry in found.items() if task.metrics is None or name in task.metrics}


def split_curves(scored: Scored, tasks: list[Task]) -> dict[str, dict]:
    """{task: {"roc": [[fpr, tpr], ...], "calibration": [bin, ...]}} for the report's pictures."""
    return {
        task.name: {"roc": _roc(*scored.of(task)), "calibration": _calibration(*scored.of(task))}
        for task in tasks
        if not task.is_number
    }


def _roc(labels, probabilities) -> list:
    try:
        return np.stack(curves.roc_curve(labels, probabilities, _ROC_POINTS), axis=1).tolist()
    except UndefinedMetricError:  # one class: no curve
        return []


def _calibration(labels, probabilities) -> list[dict]:
    bins = curves.calibration_curve(labels, probabilities, _CALIBRATION_BINS)
    columns = {"mean_score": bins.score, "rate": bins.rate, "low": bins.low, "high": bins.high, "rows": bins.rows}
    return [dict(zip(columns, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)]
