"""Which metric of the validation split says how good a model is, and for how long it has not improved."""

from rectrain.errors import InputError, did_you_mean
from rectrain.evaluation.metrics import HIGHER_IS_BETTER, improvement
from rectrain.tasks import Task


class Monitor:
    """Follows one metric over the evaluations.

    Args:
        name: "auc", or "task.auc" where there are several tasks.  key: of the config, for messages.
    Raises:
        InputError: no such task or metric.
    """

    def __init__(self, name: str, tasks: list[Task], key: str):
        task, _, metric = name.rpartition(".")
        known = [t.name for t in tasks]
        if task and task not in known:
            raise InputError(f"{key}={name}: the dataset has no label {task!r}.{did_you_mean(task, known)}")
        if metric not in HIGHER_IS_BETTER:
            raise InputError(f"{key}={name}: no such metric.{did_you_mean(metric, HIGHER_IS_BETTER)}")
        if not task and len(tasks) > 1:
            raise InputError(f"{key}={name}: say of which task: {', '.join(f'{t}.{metric}' for t in known)}.")
        self.task, self.metric, self.key = task or known[0], metric, key
        self.best: float | None = None
        self.evaluations_without_gain = 0

    @property
    def name(self) -> str:
        return f"{self.task}.{self.metric}"

    def value(self, metrics: dict, split: str) -> float:
        """The metric out of {task: {metric: {"value", ...}}} of a split.

        Raises:
            InputError: the metric does not exist on this split.
        """
        found = metrics[self.task][self.metric]
        if found["value"] is None:
            raise InputError(f"{self.key}={self.name}: the {split} split has no such metric: {found['reason']}.")
        return found["value"]

    def improves(self, value: float) -> bool:
        """Takes note of the value of one more evaluation; True if it is the best so far."""
        better = self.best is None or improvement(self.metric, value, self.best) > 0
        if better:
            self.best = value
        self.evaluations_without_gain = 0 if better else self.evaluations_without_gain + 1
        return better
