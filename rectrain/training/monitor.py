"""Which metric of the validation split says how good a model is, and for how long it has not improved."""

from rectrain.errors import InputError, did_you_mean
from rectrain.evaluation import metrics, regression
from rectrain.tasks import Task

HIGHER_IS_BETTER = {**metrics.HIGHER_IS_BETTER, **regression.HIGHER_IS_BETTER}


class Monitor:
    """Follows one metric over the evaluations.

    Args:
        name: "auc", the mean over tasks by the weights of their losses; or "task.auc".  key: of the config, for
            messages.
    Raises:
        InputError: no such task or metric, or a task that is meant has no such metric.
    """

    def __init__(self, name: str, tasks: list[Task], key: str):
        task, _, metric = name.rpartition(".")
        known = [t.name for t in tasks]
        if task and task not in known:
            raise InputError(f"{key}={name}: there is no task {task!r}.{did_you_mean(task, known)}")
        if metric not in HIGHER_IS_BETTER:
            raise InputError(f"{key}={name}: no such metric.{did_you_mean(metric, HIGHER_IS_BETTER)}")
        self.tasks = [t for t in tasks if t.name == task] if task else [t for t in tasks if t.weight]
        self.metric, self.key = metric, f"{key}={name}"
        for t in self.tasks:
            self._check(t)
        self.best: float | None = None
        self.evaluations_without_gain = 0

    def _check(self, task: Task):
        computed = regression.HIGHER_IS_BETTER if task.is_number else metrics.HIGHER_IS_BETTER
        has = [m for m in computed if task.metrics is None or m in task.metrics]
        if self.metric not in has:
            raise InputError(
                f"{self.key}: task {task.name!r} has no such metric; it has {', '.join(has)}. Set "
                "it to one of those, or to <task>.<metric> of another task."
            )

    @property
    def name(self) -> str:
        if len(self.tasks) == 1:
            return f"{self.tasks[0].name}.{self.metric}"
        return f"mean {self.metric} of {', '.join(task.name for task in self.tasks)}"

    @property
    def state(self) -> dict:
        """What it remembers, in plain values, for `restore`."""
        return {"best": self.best, "evaluations_without_gain": self.evaluations_without_gain}

    def restore(self, state: dict):
        self.best, self.evaluations_without_gain = state["best"], state["evaluations_without_gain"]

    def value(self, found: dict, split: str) -> float:
        """The metric out of {task: {metric: {"value", ...}}} of a split.

        Raises:
            InputError: the metric does not exist on this split.
        """
        weights = [task.weight or 1.0 for task in self.tasks]
        values = [self._value(found, split, task) for task in self.tasks]
        return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)

    def _value(self, found: dict, split: str, task: Task) -> float:
        entry = found[task.name][self.metric]
        if entry["value"] is None:
            raise InputError(
                f"{self.key}: task {task.name!r} has no such metric on the {split} split: {entry['reason']}."
            )
        return entry["value"]

    def improves(self, value: float) -> bool:
        """Takes note of the value of one more evaluation; True if it is the best so far."""
        better = self.best is None or metrics.improvement(HIGHER_IS_BETTER[self.metric], value, self.best) > 0
        if better:
            self.best = value
        self.evaluations_without_gain = 0 if better else self.evaluations_without_gain + 1
        return better
