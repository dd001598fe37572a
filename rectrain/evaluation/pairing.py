"""Configurations compared on the rows that all their runs have scored, or the reason why they are not."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rectrain.config import TasksConfig, parse
from rectrain.data.manifest import MANIFEST
from rectrain.errors import InputError
from rectrain.evaluation.kept_scores import KeptScores
from rectrain.evaluation.paired import differences, sides
from rectrain.plain_files import read_json
from rectrain.run_dir import RunDir
from rectrain.schema import Schema
from rectrain.tasks import Task, from_config

LEVEL = 0.95  # of all comparisons with one reference together


@dataclass(frozen=True)
class Runs:
    """Those of a configuration, which differ in their seeds."""

    prepared: list[Path]  # folder of each one's prepared data
    tasks: list[Task]
    scores: list[KeptScores]

    @staticmethod
    def of(reports: dict[str, dict], split: str) -> "Runs":
        """
        Raises:
            InputError: a run is no training, or keeps no scores of the split.
        """
        prepared, scores, tasks = [], [], []
        for folder, report in reports.items():
            run_dir = RunDir(Path(folder))
            if not run_dir.scores(split).is_file():
                raise InputError(f"{folder} keeps no scores of {split} ({run_dir.scores(split).name})")
            schema = Schema.read(run_dir.schema)
            tasks = from_config(parse(TasksConfig, report["config"]["task"], "task"), schema)
            prepared.append(Path(report["data"]["manifest"]).parent)
            scores.append(KeptScores(run_dir.scores(split), list(schema.labels)))
        return Runs(prepared, tasks, scores)


def paired_with(
    reference: dict[str, dict], others: list[dict[str, dict]], split: str
) -> list[dict[str, dict[str, dict]] | str]:
    """For each of the others {task: {metric: difference from the reference, as `differences` says}}, or why not.

    The intervals hold together: each is so wide that all of one task and metric are right in 95 % of the cases.

    Args:
        reference, others: {folder: report.json} of the runs of a configuration each.
    """
    theirs = _runs(reference, split)
    if isinstance(theirs, str):
        return [theirs] * len(others)
    found: list[Runs | str] = [_runs(runs, split) for runs in others]
    found = [runs if isinstance(runs, str) else _why_not(runs, theirs) or runs for runs in found]
    pairs = [runs for runs in found if isinstance(runs, Runs)]
    results = iter(_compared(theirs, pairs))
    return [runs if isinstance(runs, str) else next(results) for runs in found]


def _runs(reports: dict[str, dict], split: str) -> Runs | str:
    try:
        return Runs.of(reports, split)
    except (InputError, OSError, KeyError, TypeError) as error:
        return str(error)


def _compared(theirs: Runs, pairs: list[Runs]) -> list[dict[str, dict[str, dict]]]:
    """Task by task, so that no more of the rows is held at a time than one needs."""
    found: list[dict[str, dict[str, dict]]] = [{} for _ in pairs]
    level = 1 - (1 - LEVEL) / max(len(pairs), 1)
    for task in theirs.tasks:
        labels, _ = theirs.scores[0].of(task)
        their_sides = sides(task, theirs.scores)
        for runs, result in zip(pairs, found, strict=True):
            if task.name in [own.name for own in runs.tasks]:
                result[task.name] = differences(sides(task, runs.scores), their_sides, labels, level)
    return found


def _why_not(runs: Runs, theirs: Runs) -> str | None:
    for prepared in [*theirs.prepared, *runs.prepared]:
        if prepared.name != theirs.prepared[0].name:
            return f"other prepared data: {prepared_difference(prepared, theirs.prepared[0])}"
    return next((why for why in _other_rows(runs, theirs)), None)


def _other_rows(runs: Runs, theirs: Runs) -> Iterable[str]:
    ours_by_name = {task.name: task for task in runs.tasks}
    for task in theirs.tasks:
        own = ours_by_name.get(task.name)
        if own is None:
            continue
        if (own.label, own.given) != (task.label, task.given):
            yield f"task {task.name} is another one: its label or who counts for it differs"
        labels, _ = theirs.scores[0].of(task)
        for scores in [*theirs.scores[1:], *runs.scores]:
            if not np.array_equal(labels, scores.of(task)[0]):
                yield f"other rows: the labels of {task.name} in {scores.path} and {theirs.scores[0].path} differ"


def prepared_difference(ours: Path, theirs: Path) -> str:
    """`split.train=0.8, not 0.9`: the first key of the manifests that differs, and how many more do."""
    try:
        key, other = (dict(_leaves(read_json(path / MANIFEST)["key"], "")) for path in (ours, theirs))
    except (OSError, ValueError, KeyError, TypeError):  # the prepared data are gone
        return f"{ours.name}, not {theirs.name}"
    differ = [name for name in {**key, **other} if key.get(name) != other.get(name)]
    more = f" (and {len(differ) - 1} more)" if len(differ) > 1 else ""
    return f"{differ[0]}={key.get(differ[0])}, not {other.get(differ[0])}{more}" if differ else f"{ours}, not {theirs}"


def _leaves(value, path: str) -> Iterable[tuple[str, object]]:
    """Dotted keys; a list of [name, section] pairs is a section."""
    if isinstance(value, list) and value and all(isinstance(v, list) and len(v) == 2 for v in value):
        value = {str(name): item for name, item in value}
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if not entries:
        yield path, value
        return
    for key, item in entries:
        yield from _leaves(item, f"{path}.{key}" if path else str(key))
