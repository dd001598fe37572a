"""A run in MLflow: parameters, the metrics of each evaluation, report and config.

Tracking is no part of training: where it fails the run says so once and goes on without it.
"""

import json
import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from rectrain.config import TrackerConfig
from rectrain.console import say
from rectrain.errors import InputError, first_line
from rectrain.run_dir import RunDir, write_whole

FILE = "mlflow.json"  # in the folder of a run: which run of MLflow's it is
_DEFAULT_URI = "sqlite:///mlflow.db"
_STATUS = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
_IN_A_BATCH = 100  # parameters that MLflow takes at once
_LONGEST = 500  # characters of a parameter that servers of any age take
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


class MlflowRun:
    """
    Args:
        run_dir: of the run; a run that goes on does so in the same run of MLflow's.
    Raises:
        InputError: MLflow is not installed.
    """

    def __init__(self, config: TrackerConfig, run_dir: RunDir):
        self._mlflow = import_mlflow()
        self.config, self.run_dir = config, run_dir
        self.uri = config.uri or os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT_URI
        self._works = True
        self._known_steps: set[int] = set()

    def begin(self, raw: dict, evaluations: list[dict]):
        """Takes up the run that the folder names, or makes one.

        Args:
            raw: the composed config.  evaluations: that the run has made before, none where it is new.
        """
        self._try(self._begin, raw)
        for entry in evaluations:
            self.evaluation(entry)

    def _begin(self, raw: dict):
        self._client = self._mlflow.MlflowClient(tracking_uri=self.uri)
        self._id = self._taken_up() or self._made(raw)

    def _taken_up(self) -> str | None:
        path = self.run_dir.path / FILE
        if not path.is_file():
            return None
        run_id = json.loads(path.read_text(encoding="utf-8"))["run_id"]
        self._client.update_run(run_id, status="RUNNING")
        self._known_steps = {metric.step for metric in self._client.get_metric_history(run_id, "train/loss")}
        return run_id

    def _made(self, raw: dict) -> str:
        from mlflow.entities import Param

        found = self._client.get_experiment_by_name(self.config.experiment)
        experiment = found.experiment_id if found else self._client.create_experiment(self.config.experiment)
        name = "/".join(self.run_dir.path.resolve().parts[-2:])
        run_id = self._client.create_run(experiment, run_name=name).info.run_id
        write_whole(self.run_dir.path / FILE, json.dumps({"run_id": run_id}))
        parameters = [
            Param(_name(key), str(value)[:_LONGEST]) for key, value in _flat(raw) if not key.startswith("tracker.")
        ]
        for first in range(0, len(parameters), _IN_A_BATCH):
            self._client.log_batch(run_id, params=parameters[first : first + _IN_A_BATCH])
        return run_id

    def evaluation(self, entry: dict):
        """The metrics of an evaluation at its step, unless MLflow has them."""
        if entry["step"] in self._known_steps:
            return
        rates = {f"train/learning_rate/{group}": rate for group, rate in entry["learning_rate"].items()}
        valid = {f"valid/{task}/{m}": value for task, found in entry["valid"].items() for m, value in found.items()}
        self._try(self._log, {"train/loss": entry["train_loss"], **rates, **valid}, entry["step"])

    def end(self, report: dict):
        """The metrics of the report, its files, and how the run ended."""
        for split, tasks in report["metrics"].items():
            values = {
                f"final/{split}/{task}/{name}": metric["value"]
                for task, found in tasks.items()
                for name, metric in found.items()
                if isinstance(metric, dict)
            }
            self._try(self._log, values, report["steps"])
        self._try(self._end, report["status"])

    def _end(self, status: str):
        for path in (self.run_dir.report, self.run_dir.report.with_suffix(".html"), self.run_dir.config):
            self._client.log_artifact(self._id, str(path))
        self._client.set_terminated(self._id, _STATUS[status])

    def _log(self, values: dict, step: int):
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(_name(key), value, now, step) for key, value in values.items() if value is not None]
        self._client.log_batch(self._id, metrics=metrics)

    def _try(self, do: Callable, *arguments):
        """Does something with the server, unless something has failed before; a failure is said."""
        if not self._works:
            return
        try:
            with warnings.catch_warnings(action="ignore"):  # of what MLflow calls, which is no concern of the user's
                do(*arguments)
        except Exception as error:  # whatever a client of servers and databases may raise
            self._works = False
            say(f"MLflow does not answer, and this run goes on without it: {self._without_password(first_line(error))}")

    def _without_password(self, text: str) -> str:
        secrets = (urlsplit(self.uri).password, os.environ.get("MLFLOW_TRACKING_PASSWORD"))
        for secret in filter(None, (*secrets, os.environ.get("MLFLOW_TRACKING_TOKEN"))):
            text = text.replace(secret, "***")
        return text


def import_mlflow():
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        with warnings.catch_warnings(action="ignore"):
            import mlflow
    except ImportError as error:
        raise InputError("tracker=mlflow needs MLflow: pip install 'rectrain[mlflow]'.") from error
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return mlflow


def _flat(section: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in section.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + str(key), value


def _name(text: str) -> str:
    """With the characters alone that MLflow takes in a name."""
    return re.sub(r"[^\w./ -]", "_", text)
