"""What is exported of a run: its raw columns and its scores as graphs, and the weights of a linear model."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rectrain.config import DataConfig, OnlineConfig
from rectrain.data.plan import Features
from rectrain.errors import InputError
from rectrain.export.encodings import Vocabularies
from rectrain.export.linear import SparseLinear
from rectrain.export.raw_batch import RawBatch
from rectrain.online.features import HashedFeatures
from rectrain.online.state import newest
from rectrain.plain_files import read_array
from rectrain.run_dir import RunDir
from rectrain.schema import Schema
from rectrain.tasks import Task, from_config
from rectrain.training.build import CONSTANT_RATE, build_steps
from rectrain.training.checkpoint import read_weights
from rectrain.training.precision import float32_layers
from rectrain.training.restore import read_schema, restore_model
from rectrain.training.steps import Steps


@dataclass(frozen=True)
class Exportable:
    schema: Schema
    raw: RawBatch
    score: Callable[[dict], dict]  # packed batch -> {task: float32 (B,)}, to be traced
    state: list  # its variables, or modules that hold them
    weights: np.ndarray | None  # of model=lr, float32: rows of the table, numeric features, bias
    steps: Steps | None  # None: the model was learned row by row


def of_train_run(path: Path, checkpoint: str | int, scratch: Path) -> Exportable:
    """Raises InputError as restore_model does. scratch: a folder that stays until the model is saved."""
    model = restore_model(path, checkpoint)
    features, data, schema = model.features(), model.config.data, model.schema  # looks at the vocabularies first
    vocabularies = Vocabularies(schema, path, scratch)
    if model.config.model.name == "lr":
        weights = _weights(model.steps, schema)
        return _linear(data, schema, features, model.steps.tasks[0], weights, vocabularies, model.steps)
    return _of_steps(data, schema, features, model.steps, vocabularies)


def of_online_run(run_dir: RunDir, config: OnlineConfig, scratch: Path) -> Exportable:
    """Raises InputError where nothing was saved, or it is damaged."""
    place = newest(run_dir.checkpoints)
    if place is None:
        raise InputError(f"run={run_dir.path} has saved nothing yet. Expected a run that learned from some rows.")
    schema = read_schema(run_dir)
    if config.online.source == "raw":
        features: Features = HashedFeatures(config.data, 2**config.online.bits)
    else:
        features = Features(config.data)
    features.restore(schema, run_dir.path)
    vocabularies = Vocabularies(schema, run_dir.path, scratch)
    if (place / "state.npy").exists():
        weights = _saved_weights(place / "state.npy", schema)
        (task,) = from_config(config.task, schema)
        return _linear(config.data, schema, features, task, weights, vocabularies, None)
    steps = build_steps(config, schema, CONSTANT_RATE, "float32", trains=False)
    read_weights(place, steps.model)
    return _of_steps(config.data, schema, features, steps, vocabularies)


def _of_steps(
    data: DataConfig, schema: Schema, features: Features, steps: Steps, vocabularies: Vocabularies
) -> Exportable:
    def score(batch):
        with float32_layers(steps.model):
            return steps.predictions(batch)

    raw = RawBatch(data, schema, features, list(steps.model.input), vocabularies)
    return Exportable(schema, raw, score, [w.value for w in steps.model.weights], None, steps)


def _linear(
    data: DataConfig,
    schema: Schema,
    features: Features,
    task: Task,
    weights: np.ndarray,
    vocabularies: Vocabularies,
    steps: Steps | None,
) -> Exportable:
    rows = schema.num_linear_rows
    linear = SparseLinear(schema, features, weights[:rows], weights[rows:-1], weights[-1])
    raw = RawBatch(data, schema, features, _linear_inputs(schema), vocabularies)
    return Exportable(schema, raw, lambda batch: {task.name: linear(batch)}, [linear], weights, steps)


def _saved_weights(path: Path, schema: Schema) -> np.ndarray:
    """Of a model that was learned row by row; see Exportable.weights."""
    like = np.empty((schema.num_linear_rows + len(schema.numeric) + 1, 3), np.float32)
    try:
        return read_array(path, like)[:, 0]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}); expected the state that an online run left.") from error


def _linear_inputs(schema: Schema) -> Collection[str]:
    single = {"categorical": schema.num_categorical_columns, "numeric": schema.numeric}
    ragged = [name for f in schema.multi_valued for name in (f.name, f"{f.name}_valid")]
    return [*(name for name, there in single.items() if there), *ragged]


def _weights(steps: Steps, schema: Schema) -> np.ndarray:
    """Those of models/lr.py in the order of Exportable.weights."""
    named = {w.path: w.numpy() for w in steps.model.weights}
    parts = [named["linear/table"][:, 0]] if schema.num_linear_rows else []
    parts += [named["linear/kernel"]] if schema.numeric else []
    return np.concatenate([*parts, [named["linear/bias"]]]).astype(np.float32)
