"""How much worse a model ranks when one feature is shuffled among the rows: permutation importance.

Source: Breiman 2001, "Random Forests", section 10; Fisher et al. 2019, "All Models are Wrong, but Many are Useful".

Letters: N rows, R repeats.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np

from rectrain.evaluation.intervals import normal_quantile
from rectrain.evaluation.metrics import UndefinedMetricError, paired_auc_difference
from rectrain.progress import Progress
from rectrain.schema import Schema
from rectrain.tasks import Task

MOST_ROWS = 50_000
_LEVEL = 0.95

Batch = dict[str, np.ndarray]
Units = dict[str, list[tuple[str, int | None]]]  # feature -> its tensors, and its column in each; None: all of it


def importance(
    score: Callable[[Batch], dict],
    batch: Batch,
    tasks: list[Task],
    schema: Schema,
    *,
    repeats: int,
    seed: int,
    say: Callable[[str], object],
) -> list[dict]:
    """For each feature that the batch holds, what is lost without it: the most important first.

    Args:
        score: batch of any size -> {task: predictions (N,)}.  batch: packed rows with labels.
        repeats: shuffles of each feature.
    Returns:
        [{"feature": str, "tasks": {task: {"value", "low", "high"}}}]: the loss of AUC (of a number: the gain of mean
        squared error), over the rows (paired DeLong, 95 %) and the shuffles.
    """
    rng = np.random.default_rng([seed, repeats])
    before, shuffled, num_rows = score(batch), units(schema, batch), len(batch["labels"])
    found = []
    with Progress("importance", len(shuffled) * repeats * num_rows, say) as progress:
        for feature, tensors in shuffled.items():
            losses: dict[str, list] = {task.name: [] for task in tasks}
            for _ in range(repeats):
                after = score(_shuffled(batch, tensors, rng))
                for task in tasks:
                    losses[task.name].append(_loss(task, batch["labels"], before[task.name], after[task.name]))
                progress.advance(num_rows)
                progress.add_rows(num_rows, feature)
            found.append({"feature": feature, "tasks": {name: _joined(of_task) for name, of_task in losses.items()}})
    return sorted(found, key=lambda entry: -max(t["value"] or 0 for t in entry["tasks"].values()))


def units(schema: Schema, batch: Iterable[str]) -> Units:
    """What is shuffled together. The histories of a log are one feature."""
    parts: Units = {f.name: [("categorical", i)] for i, f in enumerate((*schema.categorical, *schema.crosses))}
    parts |= {f.name: [("numeric", i)] for i, f in enumerate(schema.numeric)}
    parts |= {f.name: [(f.name, None), (f"{f.name}_valid", None)] for f in schema.multi_valued}
    for history in schema.histories:
        tensors = [f"{history.name}_{step.name}" for step in history.steps] + [f"{history.name}_valid"]
        name = "history" if history.from_log else history.name
        parts.setdefault(name, []).extend((tensor, None) for tensor in tensors if tensor in batch)
    return {name: tensors for name, tensors in parts.items() if tensors and all(t in batch for t, _ in tensors)}


def joined(batches: Iterable[Batch], most_rows: int, num_rows: int) -> Batch:
    """Rows spread evenly over the batches as one batch; histories padded to the longest.

    Args:
        num_rows: of all batches.
    """
    step = max(-(-num_rows // most_rows), 1)
    parts, first = [], 0
    for batch in batches:
        size = len(batch["labels"])
        parts.append({name: np.asarray(column)[-first % step :: step] for name, column in batch.items()})
        first += size
    return {name: _concatenated([part[name] for part in parts]) for name in parts[0]}


def _concatenated(columns: list[np.ndarray]) -> np.ndarray:
    """Of unequal widths the narrower ones repeat their last column: `valid` says that it is none."""
    width = max(column.shape[1] if column.ndim > 1 else 0 for column in columns)
    return np.concatenate([_widened(column, width) for column in columns])


def _widened(column: np.ndarray, width: int) -> np.ndarray:
    missing = width - column.shape[1] if column.ndim > 1 else 0
    if not missing:
        return column
    filler = np.zeros((len(column), missing), bool) if column.dtype == bool else column[:, -1:].repeat(missing, axis=1)
    return np.concatenate([column, filler], axis=1)


def _shuffled(batch: Batch, tensors: list[tuple[str, int | None]], rng: np.random.Generator) -> Batch:
    order = rng.permutation(len(batch["labels"]))
    changed = dict(batch)
    for name, column in tensors:
        if column is None:
            changed[name] = batch[name][order]
        else:
            changed[name] = batch[name].copy()
            changed[name][:, column] = batch[name][order, column]
    return changed


def _loss(task: Task, labels: np.ndarray, before: np.ndarray, after: np.ndarray) -> tuple[float, float] | str:
    """What is lost and its standard error; or why there is no such number."""
    rows = slice(None) if task.given is None else labels[:, task.given] == 1
    truth, before, after = labels[rows, task.column], before[rows], after[rows]
    if task.is_number:
        gained = (truth - after.astype(np.float64)) ** 2 - (truth - before.astype(np.float64)) ** 2
        return float(gained.mean()), float(gained.std(ddof=1) / math.sqrt(len(gained)))
    try:
        found = paired_auc_difference(truth, before, after, _LEVEL)
    except UndefinedMetricError as error:
        return str(error)
    return found.difference, (found.high - found.difference) / normal_quantile(_LEVEL)


def _joined(losses: list) -> dict:
    """Mean over the repeats; its error is that of the rows, which all repeats share, and that of the shuffles."""
    if isinstance(losses[0], str):
        return {"value": None, "low": None, "high": None, "reason": losses[0]}
    values, errors = np.array(losses).T
    between = values.var(ddof=1) / len(values) if len(values) > 1 else 0.0
    half = normal_quantile(_LEVEL) * math.sqrt(float((errors**2).mean() + between))
    return {"value": float(values.mean()), "low": float(values.mean() - half), "high": float(values.mean() + half)}
