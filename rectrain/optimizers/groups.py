"""One optimizer for all weights, or one for the wide part of a model and another for the deep part."""

import numpy as np
import tensorflow as tf

from rectrain.errors import InputError
from rectrain.optimizers.gradients import add_l2, clip_by_global_norm
from rectrain.optimizers.schedules import Schedule
from rectrain.optimizers.sums import sum_over_replicas
from rectrain.optimizers.touched_rows import POSITIVE, TouchedRowsOptimizer, require, tf_variable
from rectrain.registry import load

_SHARED = ("regularize", "l2_embedding", "l2_dense", "clip_norm")


class GroupedOptimizer:
    """Sums gradients over replicas, adds L2, clips, and lets the optimizer of each group move its weights.

    The groups are "all", or for the name wide_ftrl "wide" (weights under "linear/") and "deep" (the others). Make it
    under the strategy's scope.

    Source of the two groups: Cheng et al. 2016, "Wide & Deep Learning for Recommender Systems", arXiv:1606.07792.
    Args:
        config: "name", "regularize", "l2_embedding", "l2_dense", "clip_norm" and the keyword arguments of
            rectrain/optimizers/<name>.py; for wide_ftrl instead of these "wide" and "deep", each with "name" and
            keyword arguments.
        schedule: the keyword arguments of Schedule but learning_rate and plateau_scale. It moves the groups that have
            a learning_rate; FTRL has rates of its own.
    Raises:
        InputError: a knob out of bounds; a schedule where FTRL is alone.
    """

    def __init__(self, config: dict, schedule: dict):
        self.regularize, self.clip_norm = config["regularize"], config["clip_norm"]
        self.l2_embedding, self.l2_dense = config["l2_embedding"], config["l2_dense"]
        self.plateau_scale = tf.Variable(
            1.0, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA, name="plateau_scale"
        )
        self._schedules: dict[str, Schedule] = {}
        self._optimizers: dict[str, TouchedRowsOptimizer] = {}
        for group, settings in _groups(config).items():
            if "learning_rate" in settings:
                self._schedules[group] = Schedule(
                    learning_rate=settings["learning_rate"], plateau_scale=self.plateau_scale, **schedule
                )
            self._optimizers[group] = _optimizer(group, settings, self._schedules.get(group))
        if not self._schedules:
            _refuse_schedule(config["name"], schedule)

    def build(self, variables: list, occurrences: dict[str, np.ndarray] | None = None):
        """Creates the slots of all trainable weights, before the first tf.function is traced.

        Args:
            occurrences: path of each table -> float (rows,), above 0; for regularize=frequency.
        """
        self._occurrences = {
            path: tf.Variable(counts[:, None], trainable=False, name=f"occurrences_{path.replace('/', '_')}")
            for path, counts in (occurrences or {}).items()
        }
        for group, optimizer in self._optimizers.items():
            members = [v for v in variables if self._group_of(v) == group]
            if not members:
                raise InputError(
                    f"optimizer.name=wide_ftrl: the model has no weights for optimizer.{group}, only "
                    f"{', '.join(v.path for v in variables)}. Choose a model with a linear and a deep part, or "
                    "one optimizer for all weights, as optimizer=lazy_adam."
                )
            optimizer.build(members)

    def apply(self, gradients: list, variables: list):
        """One step; call it in replica context, inside the tf.function given to strategy.run.

        Args:
            gradients: of the sum of the replica's losses / global batch size; tf.IndexedSlices for tables.
            variables: the trainable weights, in the same order.
        """
        for gradient, variable in zip(gradients, variables, strict=True):
            assert gradient is not None, f"{variable.path} does not reach the loss"
        gradients = sum_over_replicas(gradients, variables)
        gradients = [self._add_l2(g, v) for g, v in zip(gradients, variables, strict=True)]
        gradients = clip_by_global_norm(gradients, self.clip_norm)
        for group, optimizer in self._optimizers.items():
            optimizer.apply_gradients(
                [(g, v) for g, v in zip(gradients, variables, strict=True) if self._group_of(v) == group]
            )

    @property
    def moves_columns_alike(self) -> bool:
        """Whether a first-order weight may stand in one row with a vector: one group, and no rule that mixes a row."""
        return len(self._optimizers) == 1 and self._optimizers["all"].elementwise

    @property
    def step(self) -> tf.Variable:
        """int64 (), steps done: the `iterations` that Keras counts in each group, equal in all of them."""
        return tf_variable(next(iter(self._optimizers.values())).iterations)

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """All state to checkpoint: {"<group>/<weight>/<slot>": variable}, names the same in every process."""
        state = {
            f"{group}/{name}": variable
            for group, optimizer in self._optimizers.items()
            for name, variable in optimizer.named_state().items()
        }
        return {"plateau_scale": self.plateau_scale, **state}

    def learning_rates(self, step: int) -> dict[str, float]:
        """{group: rate used at this step}, without groups that no schedule moves."""
        return {group: float(schedule(step)) for group, schedule in self._schedules.items()}

    def scale(self, factor: float):
        """Multiplies the learning rates from now on; call it outside strategy.run."""
        self.plateau_scale.assign(self.plateau_scale * factor)

    def _group_of(self, variable) -> str:
        if "all" in self._optimizers:
            return "all"
        return "wide" if variable.path.startswith("linear/") else "deep"

    def _add_l2(self, gradient, variable):
        l2 = self.l2_embedding if variable.path.endswith("/table") else self.l2_dense
        return add_l2(gradient, tf_variable(variable), l2, self.regularize, self._occurrences.get(variable.path))


def _groups(config: dict) -> dict[str, dict]:
    if config["name"] == "wide_ftrl":
        return {"wide": config["wide"], "deep": config["deep"]}
    return {"all": {key: value for key, value in config.items() if key not in _SHARED}}


def _optimizer(group: str, settings: dict, schedule: Schedule | None) -> TouchedRowsOptimizer:
    section = "optimizer" if group == "all" else f"optimizer.{group}"
    knobs = {key: value for key, value in settings.items() if key != "name"}
    try:
        if schedule is not None:
            require(POSITIVE, learning_rate=schedule.learning_rate)
            knobs["learning_rate"] = schedule
        optimizer = load("optimizers", settings["name"])(**knobs)
    except InputError as error:
        raise InputError(f"{section}.{error}") from None
    optimizer.gradients_are_prepared = True  # by GroupedOptimizer.apply
    return optimizer


def _refuse_schedule(name: str, schedule: dict):
    for key, neutral in (("decay", "constant"), ("warmup_steps", 0)):
        if schedule[key] != neutral:
            raise InputError(
                f"trainer.schedule.{key}={schedule[key]}: optimizer={name} sets a learning rate for each weight "
                "itself, from optimizer.alpha and optimizer.beta, so a schedule would do nothing. Set "
                f"trainer.schedule.{key}={neutral}, or choose another optimizer."
            )
