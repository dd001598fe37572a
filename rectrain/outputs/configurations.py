"""Runs as configurations: those that differ in nothing but the seed are one."""

from collections.abc import Iterator
from dataclasses import dataclass

from rectrain.outputs import formats
from rectrain.same_config import deciding

_NAMED_SECTIONS = ("model", "optimizer", "strategy", "data", "task")  # those of one name alone share their keys


@dataclass(frozen=True)
class Configuration:
    """At least one run."""

    settings: dict[str, object]  # the keys that set it apart from the others; `model` stands for model.name
    runs: dict[str, dict]  # folder: report.json
    is_baseline: bool = False

    @property
    def words(self) -> str:
        """`model=fm optimizer.l2_embedding=0.001`."""
        told = [f"{key}={formats.short_value(value)}" for key, value in self.settings.items()]
        return " ".join([*(["baseline"] if self.is_baseline else []), *(told or [self.first["model"]])])

    @property
    def first(self) -> dict:
        return next(iter(self.runs.values()))


def configurations(reports: dict[str, dict], baseline: dict[str, dict] | None = None) -> list[Configuration]:
    """In the order of the runs; those of the baseline stand apart, whatever their config, and last."""
    baseline = baseline or {}
    flat = {folder: flattened_config(report) for folder, report in (reports | baseline).items()}
    keys = [key for key in dict.fromkeys(key for config in flat.values() for key in config) if sets_apart(key, flat)]
    groups: dict[tuple, dict[str, dict]] = {}
    for folder, report in (reports | baseline).items():
        same = tuple((key, repr(flat[folder].get(key))) for key in keys)
        groups.setdefault((folder in baseline, same), {})[folder] = report
    return [
        Configuration(_settings(flat[next(iter(runs))], keys), runs, is_baseline)
        for (is_baseline, _), runs in sorted(groups.items(), key=lambda group: group[0][0])
    ]


def flattened_config(report: dict) -> dict[str, object]:
    """Dotted keys that decide numbers or cost, but the seed; a section `task` is named by what was scored."""
    config = {**deciding(report["config"]), "strategy": report["config"].get("strategy")}
    config.pop("seed", None)
    scored = "/".join(formats.task_names(report.get("metrics")))
    task = {"name": scored, **(config.pop("task", None) or {})}
    return dict(_flattened({**config, "task": task}, ""))


def _flattened(section: dict, prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in section.items():
        if isinstance(value, dict) and value:
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def sets_apart(key: str, configs: dict[str, dict]) -> bool:
    """Whether runs differ in a key; in a section with a name, runs of one name that have the section alike."""
    name = f"{key.partition('.')[0]}.name"
    is_shared = key.partition(".")[0] in _NAMED_SECTIONS and key != name
    values: dict[object, set[str]] = {}
    for config in configs.values():
        values.setdefault(config.get(name) if is_shared else None, set()).add(repr(config.get(key)))
    return any(len(found) > 1 for found in values.values())


def _settings(config: dict, keys: list[str]) -> dict[str, object]:
    return {key.removesuffix(".name"): config[key] for key in keys if key in config}
