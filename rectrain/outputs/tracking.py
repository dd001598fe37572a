"""Where the evaluations of a run go as they come: metrics.jsonl, TensorBoard, the terminal and a tracker."""

import json

from rectrain.config import TrainConfig
from rectrain.console import say
from rectrain.outputs.events import EventWriter
from rectrain.outputs.mlflow_run import MlflowRun
from rectrain.run_dir import RunDir, write_whole
from rectrain.search.pruning import Pruner
from rectrain.training.team import Alone


class Tracker:
    """
    Args:
        swept: {key: value} that sets the run apart in a sweep; empty outside of one.
    """

    def __init__(self, run_dir: RunDir, config: TrainConfig, swept: dict, team: Alone):
        self.run_dir, self.resume = run_dir, config.resume
        self._events = EventWriter(run_dir.tensorboard, swept)
        self._mlflow = MlflowRun(config.tracker, run_dir) if team.is_chief and config.tracker.name != "none" else None
        self._pruner = Pruner.of(run_dir.path) if team.num_members == 1 else None  # several end together, or none

    def begin(self, raw: dict, evaluations: list[dict]) -> str | None:
        """Brings what is written to what the run goes on from; why it should not, or None."""
        if self.resume:
            lines = "".join(json.dumps(entry, allow_nan=False) + "\n" for entry in evaluations)
            write_whole(self.run_dir.metrics, lines)
            self._events.rewrite(evaluations)
        if self._mlflow is not None:
            self._mlflow.begin(raw, evaluations)
        return None if self._pruner is None else self._pruner.go_on(evaluations)

    def end(self, report: dict):
        self._events.end(report["status"])
        if self._mlflow is not None:
            self._mlflow.end(report)

    def __call__(self, entry: dict) -> str | None:
        """Why training should end with this evaluation, or None."""
        with self.run_dir.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, allow_nan=False) + "\n")
        self._events.write(entry)
        parts = [f"step {entry['step']:,}", f"epoch {entry['epoch']:.2f}", f"loss {entry['train_loss']:.5g}"]
        parts += [f"valid {task} {_figures(metrics)}" for task, metrics in entry["valid"].items()]
        say("  ".join(parts))
        if self._mlflow is not None:
            self._mlflow.evaluation(entry)
        return None if self._pruner is None else self._pruner(entry)


def _figures(metrics: dict) -> str:
    shown = {name: metrics.get(name.lower()) for name in ("AUC", "logloss", "MSE", "R2")}
    return "  ".join(f"{name} {value:.4f}" for name, value in shown.items() if value is not None)
