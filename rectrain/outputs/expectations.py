"""Runs whose config says what the test metric must be: the bands of `expect`, and whether they were left."""

from dataclasses import dataclass
from pathlib import Path

from rectrain.config import ExpectConfig, TasksConfig, parse
from rectrain.outputs import formats
from rectrain.outputs.leaderboard import Board
from rectrain.run_dir import RunDir
from rectrain.schema import Schema
from rectrain.tasks import from_config
from rectrain.training.monitor import Monitor

HEAD = ("expected", "test", "band", "")


@dataclass(frozen=True)
class Expectation:
    folder: str
    model: str
    expect: ExpectConfig
    found: float

    @property
    def is_met(self) -> bool:
        return abs(self.found - self.expect.value) <= self.expect.tolerance

    def cells(self) -> list[str]:
        """As in HEAD."""
        band = f"{formats.metric(self.expect.value)} ± {self.expect.tolerance:g}"
        verdict = "within" if self.is_met else "OUTSIDE"
        return [f"{self.model} {self.expect.metric}", formats.metric(self.found), band, verdict]


def expectations(found: Board) -> list[Expectation]:
    """Of each run that has one, in the order of the board."""
    return [
        _expectation(folder, report)
        for line in found.lines
        for folder, report in line.configuration.runs.items()
        if report["config"].get("expect") is not None and "test" in report["metrics"]
    ]


def _expectation(folder: str, report: dict) -> Expectation:
    expect = parse(ExpectConfig, report["config"]["expect"], "expect")
    schema = Schema.read(RunDir(Path(folder)).schema)
    tasks = from_config(parse(TasksConfig, report["config"]["task"], "task"), schema)
    value = Monitor(expect.metric, tasks, "expect.metric").value(report["metrics"]["test"], "test")
    return Expectation(folder, report["model"], expect, value)
