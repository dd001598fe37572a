"""Runs side by side: a table for each task. Runs that differ in nothing but the seed are one line."""

import statistics
from collections.abc import Iterator

from rectrain.outputs import formats
from rectrain.outputs.formats import metric_name
from rectrain.outputs.summary import GAP, Page, aligned, table_width

COUNTS = ("rows", "positives")
METRICS = ("auc", "logloss", "mse", "r2")
_NAMED_SECTIONS = ("model", "optimizer", "strategy", "data")  # by their name, where that differs


def comparison(reports: dict[str, dict], split: str, page: Page) -> str:
    """
    Args:
        reports: {folder: report.json} of runs that scored the split.
    Returns:
        for each task its name and a table: what differs, runs, rows and positives that count, metrics with their 95 %
        interval, or with mean and standard deviation over the seeds.
    """
    groups = by_difference(reports, split)
    tasks = dict.fromkeys(task for runs in groups.values() for run in runs for task in run["metrics"][split])
    blocks = [task_block(page, task, split, groups) for task in tasks]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def by_difference(reports: dict[str, dict], split: str) -> dict[str, list[dict]]:
    """{what differs, in words: runs}, in the order of the runs."""
    flat = [{**dict(flattened(r["config"])), "task": ",".join(r["metrics"][split])} for r in reports.values()]
    keys = [key for key in dict.fromkeys(k for config in flat for k in config) if told(key, flat)]
    groups: dict[str, list[dict]] = {}
    for config, report in zip(flat, reports.values(), strict=True):
        words = formats.join((f"{key.removesuffix('.name')}={config[key]}" for key in keys if key in config), " ")
        groups.setdefault(words or report["model"], []).append(report)
    return groups


def flattened(section: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in section.items():
        if isinstance(value, dict) and value and prefix + key != "task":
            yield from flattened(value, f"{prefix}{key}.")
        elif prefix + key != "task":
            yield prefix + key, value


def told(key: str, configs: list[dict]) -> bool:
    """Whether a key sets runs apart: not the seed, and no key of a section that is another one."""
    section = key.partition(".")[0]
    name = f"{section}.name"
    if section in _NAMED_SECTIONS and key != name and differs(name, configs):
        return False
    return key not in ("seed", "resume") and differs(key, configs)


def differs(key: str, configs: list[dict]) -> bool:
    return any(config.get(key) != configs[0].get(key) for config in configs)


def task_block(page: Page, task: str, split: str, groups: dict[str, list[dict]]) -> list[str]:
    entries = {
        words: [run["metrics"][split][task] for run in runs if task in run["metrics"][split]]
        for words, runs in groups.items()
    }
    entries = {words: found for words, found in entries.items() if found}
    metrics = [key for key in METRICS if any(key in entry for found in entries.values() for entry in found)]
    rows = [["", "runs", *COUNTS, *map(metric_name, metrics)]]
    for words, found in entries.items():
        counts = [formats.count(found[0].get(key)) for key in COUNTS]
        rows.append(
            [page.text(words), str(len(found)), *counts, *(page.text(over_runs(found, key)) for key in metrics)]
        )
    head, *lines = aligned(rows) if table_width(rows) <= page.width else on_two_lines(rows)
    return [page.paint(page.text(f"{task} on {split}"), "title"), page.paint(head, "head"), *lines]


def on_two_lines(rows: list[list[str]]) -> list[str]:
    """A table too wide for the terminal: what differs stands above its numbers."""
    head, *numbers = (f"{GAP}{line}" for line in aligned([cells for _, *cells in rows]))
    names = [name for name, *_ in rows[1:]]
    return [head, *(line for pair in zip(names, numbers, strict=True) for line in pair)]


def over_runs(entries: list[dict], key: str) -> str:
    """One run's value with its interval, or mean and standard deviation of several."""
    values = [entry[key]["value"] for entry in entries if key in entry and entry[key]["value"] is not None]
    if not values:
        return formats.MISSING
    if len(values) == 1:
        return formats.join([formats.metric(values[0]), formats.interval(entries[0][key])], " ")
    return f"{formats.metric(statistics.mean(values))} ± {formats.metric(statistics.stdev(values))}"
