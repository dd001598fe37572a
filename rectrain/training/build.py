"""A trainer from a config: seeds, strategy, model, optimizer, checkpoints."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import ops  # its registry of gradients has no public name

from rectrain.config import BenchConfig, OnlineConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from rectrain.data.manifest import Prepared
from rectrain.data.occurrences import row_occurrences
from rectrain.errors import InputError
from rectrain.features.linear import first_order_tables_apart
from rectrain.memory import keep_freed_memory
from rectrain.optimizers.groups import GroupedOptimizer
from rectrain.optimizers.parts import in_parts
from rectrain.registry import load
from rectrain.schema import Schema
from rectrain.signals import Signals
from rectrain.tasks import Task, from_config, from_schema
from rectrain.training import strategy as strategies
from rectrain.training.checkpoint import Checkpoints, weights_by_name
from rectrain.training.consistency import check_consistent
from rectrain.training.monitor import Monitor
from rectrain.training.precision import default_policy
from rectrain.training.steps import Steps
from rectrain.training.team import Alone
from rectrain.training.trainer import Trainer, total_steps

CONSTANT_RATE = {"warmup_steps": 0, "decay": "constant", "decay_steps": 1, "final_fraction": 0.0}


def build_trainer(
    config: TrainConfig,
    prepared: Prepared,
    checkpoints: Path,
    *,
    team: Alone,
    fixed: dict,
    signals: Signals,
    on_evaluation: Callable[[dict], str | None],
    strategy: tf.distribute.Strategy | None = None,
) -> Trainer:
    """Everything of a run that needs TensorFlow, made in a fresh Keras state so that jobs of a sweep do not meet.

    Args:
        checkpoints: folder of them.
        team, fixed, signals, on_evaluation: as Trainer's.  strategy: as build_steps has it.
    Raises:
        InputError: a knob of the model, the optimizer or the monitor does not fit.
    """
    tasks = from_config(config.task, prepared.schema)
    check_consistent(prepared, tasks)
    monitor = _monitor(config, tasks, prepared)
    _check_expectation(config, tasks, prepared)
    schedule = _schedule(config.trainer.schedule, total_steps(config.trainer, prepared.rows("train")))
    occurrences = row_occurrences(prepared) if config.optimizer.regularize == "frequency" else None
    steps = build_steps(
        config, prepared.schema, schedule, config.trainer.precision, occurrences=occurrences, strategy=strategy
    )
    _check_plateau(config, steps.optimizer)
    variables = variables_by_name(steps.model, steps.optimizer)
    return Trainer(
        config.trainer,
        prepared,
        steps,
        Checkpoints(checkpoints, variables, config.trainer.keep_checkpoints, writes=team.is_chief),
        monitor,
        team=team,
        seed=config.seed,
        fixed=fixed,
        signals=signals,
        on_evaluation=on_evaluation,
    )


def build_steps(
    config: TrainConfig | OnlineConfig | BenchConfig,
    schema: Schema,
    schedule: dict,
    precision: str,
    *,
    trains: bool = True,
    occurrences: np.ndarray | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> Steps:
    """Model, optimizer and strategy as compiled steps, all weights and slots made.

    Args:
        schedule: the keyword arguments of optimizers/schedules.py.  precision: float32 or bfloat16.
        trains: False leaves out the optimizer's slots, which scoring does not need.
        occurrences: float32 (rows of the fused table,), for optimizer.regularize=frequency.
        strategy: of a cluster that is connected; None: that of the config.
    Raises:
        InputError: a knob of the model or the optimizer does not fit.
    """
    tasks = from_schema(schema) if isinstance(config, BenchConfig) else from_config(config.task, schema)
    keep_freed_memory()
    strategy = strategy or strategies.create(config.strategy)
    _forget_former_models()
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        optimizer = GroupedOptimizer(_flat(config.optimizer), schedule)
        with default_policy(precision), first_order_tables_apart(not optimizer.moves_columns_alike):
            model = load("models", config.model.name)(schema, tasks, **config.model.settings)
        if trains:
            optimizer.build(in_parts(model.trainable_variables), _of_tables(model, occurrences, schema))
    return Steps(model, tasks, optimizer, strategy)


def _forget_former_models():
    """Lets go of all that this process has built before, such as the model of a sweep's former job.

    TensorFlow keeps the gradient of each tf.custom_gradient that a graph uses for good, and with it the graph and all
    variables that it reads: 12 bytes a weight with Adam's slots.
    """
    registered = ops.gradient_registry._registry
    for name in [name for name in registered if name.startswith("CustomGradient-")]:
        del registered[name]
    keras.backend.clear_session()


def _of_tables(model: keras.Model, occurrences: np.ndarray | None, schema: Schema) -> dict[str, np.ndarray]:
    """The part of `occurrences` of each table, which ends with the crosses, ends before them, or holds them alone."""
    if occurrences is None:
        return {}
    parts = {len(part): part for part in (occurrences[schema.num_embedding_rows :], occurrences)}
    parts[schema.num_embedding_rows] = occurrences[: schema.num_embedding_rows]
    return {w.path: parts[w.shape[0]] for w in model.trainable_variables if w.path.endswith("/table")}


def _monitor(config: TrainConfig, tasks: list[Task], prepared: Prepared) -> Monitor | None:
    monitor = Monitor(config.trainer.monitor, tasks, "trainer.monitor")
    if monitor.metric == "gauc" and config.data.group is None:
        raise InputError(
            "trainer.monitor=gauc: the dataset has no group column. Set data.group, or another trainer.monitor."
        )
    return monitor if prepared.rows("valid") else None


def _check_expectation(config: TrainConfig, tasks: list[Task], prepared: Prepared):
    """Whether there will be something to compare with, before the first step."""
    if config.expect is None:
        return
    Monitor(config.expect.metric, tasks, "expect.metric")
    if "test" not in config.trainer.report_splits or not prepared.rows("test"):
        raise InputError(
            "expect needs the metrics of a test split: put test into trainer.report_splits and give data.split.test a "
            "share, or set expect=null."
        )


def _check_plateau(config: TrainConfig, optimizer: GroupedOptimizer):
    factor = config.trainer.schedule.plateau_factor
    if factor is not None and not optimizer.learning_rates(0):
        raise InputError(
            f"trainer.schedule.plateau_factor={factor}: optimizer={config.optimizer.name} has no learning rate to cut. "
            "Set trainer.schedule.plateau_factor=null, or choose another optimizer."
        )


def _flat(optimizer: OptimizerConfig) -> dict:
    shared = dataclasses.asdict(optimizer)
    return {**shared.pop("settings"), **shared}


def _schedule(schedule: ScheduleConfig, decay_steps: int) -> dict:
    return {
        "warmup_steps": schedule.warmup_steps,
        "decay": schedule.decay,
        "decay_steps": decay_steps,
        "final_fraction": schedule.final_fraction,
    }


def variables_by_name(model: keras.Model, optimizer: GroupedOptimizer) -> dict:
    """All state of a run by name, the same in every process."""
    return {
        **weights_by_name(model),
        **{f"optimizer/{name}": variable for name, variable in optimizer.variables.items()},
    }
