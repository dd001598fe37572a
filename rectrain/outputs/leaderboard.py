"""Configurations side by side: mean and spread over seeds, what sets them apart, and how they stand against one.

Chosen on validation, reported on test: the order is that of `trainer.monitor` on the validation split.
"""

import csv
import io
import math
import statistics
from dataclasses import dataclass, field, replace

from rectrain.evaluation.intervals import student_quantile
from rectrain.outputs import formats
from rectrain.outputs.configurations import Configuration, configurations
from rectrain.search.pruning import PRUNED
from rectrain.training.monitor import HIGHER_IS_BETTER

_LEVEL = 0.95
COUNTS = ("rows", "positives")
COSTS = ("train_seconds", "total_seconds", "train_rows_per_s", "parameters", "peak_rss_bytes")


@dataclass(frozen=True)
class Spread:
    """Over the runs of a configuration; of one run its own interval, over rows."""

    mean: float
    sd: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Line:
    configuration: Configuration
    chosen_by: Spread | None  # best value of the monitor on the validation split
    metrics: dict[str, dict[str, Spread]]  # task: metric: on the split
    costs: dict[str, float | None]
    against: dict[str, dict[str, dict]] = field(default_factory=dict)  # task: metric: difference from the reference
    unpaired: str | None = None  # why there is none


@dataclass(frozen=True)
class Failure:
    """A run that did not come to its end."""

    folder: str
    status: str  # of its report, `no report`, or `pruned` by a search
    words: str  # what it was
    error: str


@dataclass(frozen=True)
class Board:
    split: str
    monitor: str | None  # None: runs differ in what chose them, or have no validation split
    lines: list[Line]  # the best first; without a monitor in the order of the runs; the baseline last
    failures: list[Failure]

    @property
    def has_baseline(self) -> bool:
        return self.lines[-1].configuration.is_baseline

    @property
    def reference(self) -> Line:
        """What the others are compared with: the baseline, else the best."""
        return self.lines[-1] if self.has_baseline else self.lines[0]

    @property
    def place(self) -> str:
        """What the reference is."""
        return "the baseline" if self.has_baseline else "the best" if self.monitor else "the first"

    @property
    def others(self) -> list[Line]:
        return [line for line in self.lines if line is not self.reference]

    @property
    def keys(self) -> list[str]:
        """Of the config, that set configurations apart."""
        return list(dict.fromkeys(key for line in self.lines for key in line.configuration.settings))

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(task for line in self.lines for task in line.metrics))

    def metrics(self, task: str) -> list[str]:
        return list(dict.fromkeys(metric for line in self.lines for metric in line.metrics.get(task, {})))

    def compared(self, found: list[dict | str]) -> "Board":
        """With what `paired_with` says of the others."""
        told = {
            id(line): replace(line, unpaired=of) if isinstance(of, str) else replace(line, against=of)
            for line, of in zip(self.others, found, strict=True)
        }
        return replace(self, lines=[told.get(id(line), line) for line in self.lines])


def board(reports: dict[str, dict], baseline: dict[str, dict], failed: dict[str, dict], split: str) -> Board:
    """
    Args:
        reports, baseline: {folder: report.json} of runs that are done and have scored the split.
        failed: those of others.
    """
    everything = [*reports.values(), *baseline.values()]
    monitor = _monitor(everything)
    lines = [_line(configuration, split) for configuration in configurations(reports, baseline)]
    if monitor is not None:
        lines.sort(key=lambda line: (line.configuration.is_baseline, _badness(line, monitor)))
    return Board(split, monitor, lines, [_failure(folder, report) for folder, report in failed.items()])


def _monitor(reports: list[dict]) -> str | None:
    """What chose all runs, on the validation split."""
    names = {(report.get("best") or {}).get("metric") for report in reports}
    return names.pop() if len(names) == 1 else None


def higher_is_better(monitor: str) -> bool | None:
    """Of `task.metric`, or of `mean metric of tasks`."""
    metric = monitor.split()[1] if monitor.startswith("mean ") else monitor.rpartition(".")[2]
    return HIGHER_IS_BETTER.get(metric)


def _badness(line: Line, monitor: str) -> float:
    assert line.chosen_by is not None
    value, higher = line.chosen_by.mean, higher_is_better(monitor)
    return abs(math.log(value)) if higher is None and value > 0 else value if not higher else -value


def _line(configuration: Configuration, split: str) -> Line:
    reports = list(configuration.runs.values())
    best = [{"value": (report.get("best") or {}).get("value")} for report in reports]
    found = [report["metrics"][split] for report in reports]
    tasks = dict.fromkeys(task for run in found for task in run)
    metrics = {task: _spreads([run[task] for run in found if task in run]) for task in tasks}
    return Line(configuration, spread(best), metrics, {key: _mean(reports, key) for key in COSTS})


def _spreads(entries: list[dict]) -> dict[str, Spread]:
    keys = dict.fromkeys(key for entry in entries for key in entry if key not in COUNTS)
    spreads = {key: spread([entry[key] for entry in entries if key in entry]) for key in keys}
    return {key: found for key, found in spreads.items() if found is not None}


def spread(entries: list[dict]) -> Spread | None:
    """Mean, standard deviation and Student's 95 % interval of the mean; of one value that which it came with."""
    known = [entry for entry in entries if entry.get("value") is not None]
    values = [entry["value"] for entry in known]
    if not values:
        return None
    if len(values) == 1:
        return Spread(values[0], None, known[0].get("low"), known[0].get("high"))
    mean, sd = statistics.mean(values), statistics.stdev(values)
    half = student_quantile(_LEVEL, len(values) - 1) * sd / math.sqrt(len(values))
    return Spread(mean, sd, mean - half, mean + half)


def _mean(reports: list[dict], key: str) -> float | None:
    where = {
        "train_seconds": ("seconds", "train"),
        "total_seconds": ("seconds", "total"),
        "train_rows_per_s": ("throughput", "train_rows_per_s"),
        "parameters": ("parameters", "total"),
        "peak_rss_bytes": ("memory", "peak_rss_bytes"),
    }
    section, name = where[key]
    values = [report.get(section, {}).get(name) for report in reports]
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def _failure(folder: str, report: dict) -> Failure:
    error = str(report.get("error") or "").strip()
    last = error.splitlines()[-1] if error.startswith("Traceback") else " ".join(error.split())
    status = "pruned" if error.startswith(PRUNED) else report.get("status", "no report")
    return Failure(folder, status, " ".join(report.get("overrides") or []), last.removeprefix(PRUNED))


# As a file


def to_csv(found: Board) -> str:
    """One line a configuration, and one without figures for each run that is not done."""
    columns = [_csv_line(rank, line, found) for rank, line in enumerate(found.lines, 1)]
    fullest = max(columns, key=len)  # the reference has no differences
    names = list(dict.fromkeys(name for line in [fullest, *columns] for name in line))
    if found.failures:
        names.append("not done")
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(columns)
    writer.writerows(_csv_failure(failure, found) for failure in found.failures)
    return text.getvalue()


def _csv_line(rank: int, line: Line, found: Board) -> dict[str, object]:
    runs = line.configuration.runs
    cells: dict[str, object] = {"rank": rank, **dict.fromkeys(found.keys, "")}
    cells |= {key: _plain(value) for key, value in line.configuration.settings.items()}
    cells |= {"baseline": line.configuration.is_baseline, "runs": len(runs)}
    cells |= {"seeds": " ".join(str(report.get("seed")) for report in runs.values())}
    cells |= _csv_spread(f"valid {found.monitor}" if found.monitor else "valid", line.chosen_by)
    for task in found.tasks:
        for metric in found.metrics(task):
            name = f"{found.split} {task}.{metric}"
            cells |= _csv_spread(name, line.metrics.get(task, {}).get(metric))
            difference = line.against.get(task, {}).get(metric)
            cells |= _csv_difference(f"{name} against {found.place}", difference)
    costs = {key: None if value is None else round(value, 1) for key, value in line.costs.items()}
    return {**cells, "not paired": line.unpaired or "", **costs, "folders": " ".join(runs)}


def _csv_failure(failure: Failure, found: Board) -> dict[str, object]:
    """With those of its settings that have a column; the seed and the others stand in its report."""
    settings = dict(word.split("=", 1) for word in failure.words.split() if "=" in word)
    told = {key: settings.get(key, "") for key in found.keys}
    return {**told, "runs": 0, "folders": failure.folder, "not done": f"{failure.status}: {failure.error}"}


def _csv_difference(name: str, difference: dict | None) -> dict[str, object]:
    keys = ("difference", "low", "high", "verdict")
    return {} if difference is None else {f"{name} {key}": _figure(difference[key]) for key in keys}


def _csv_spread(name: str, found: Spread | None) -> dict[str, object]:
    keys = ("mean", "sd", "low", "high")
    return {f"{name} {key}": None if found is None else _figure(getattr(found, key)) for key in keys}


def _figure(value) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


def _plain(value) -> object:
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else formats.inline_yaml(value)
