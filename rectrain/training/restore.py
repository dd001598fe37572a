"""A run that is over, made usable again from its directory."""

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from rectrain.config import StrategyConfig, TrainConfig, parse
from rectrain.console import say
from rectrain.data.batches import ALONE, Readers
from rectrain.data.manifest import Prepared
from rectrain.data.new_rows import NewRows
from rectrain.data.plan import Features
from rectrain.data.prepare import prepare
from rectrain.data.row_groups import Rows
from rectrain.errors import InputError
from rectrain.evaluation.evaluate import Scored, score_rows
from rectrain.evaluation.explain import explainer, explanations
from rectrain.plain_files import read_json, read_yaml
from rectrain.progress import Progress
from rectrain.run_dir import RunDir
from rectrain.schema import Schema
from rectrain.sections import train_config
from rectrain.training.build import CONSTANT_RATE, build_steps
from rectrain.training.checkpoint import read_index, restore_weights
from rectrain.training.precision import float32_layers
from rectrain.training.steps import Steps
from rectrain.training.trainer import split_batches

ONE = StrategyConfig("one")


@dataclass(frozen=True)
class RestoredModel:
    """A trained model and what it reads raw rows with; the data that it was trained on are not needed."""

    run_dir: RunDir
    config: TrainConfig
    schema: Schema
    steps: Steps
    step: int  # of the checkpoint

    def new_rows(self, files: str | list[str], *, keep: Collection[str] = (), labelled: bool = False) -> NewRows:
        """Raw files as rows of the model; see NewRows."""
        inputs = self.steps.model.input
        return NewRows(
            self.config.data, self.schema, self.features(), files, inputs, say=say, keep=keep, labelled=labelled
        )

    def features(self) -> Features:
        """Those of the data set, as they were fitted."""
        features = Features(self.config.data)
        features.restore(self.schema, self.run_dir.path)
        return features

    def at(self, step: int) -> Self:
        """The same model with the weights of another checkpoint; this one has them too from now on."""
        restore_weights(self.run_dir.checkpoints, step, self.steps.model)
        return dataclasses.replace(self, step=step)

    def explain(self, batches: Iterable[dict], places: list[int], first_row: int = 0) -> list[dict]:
        """What it saw in the histories of some rows; see `explanations`.

        Raises:
            InputError: it has no attention to a history.
        """
        told, steps = explainer(self.steps.model), self.steps
        with float32_layers(told):
            return explanations(
                steps.score,
                lambda batch: told({name: batch[name] for name in told.input}),
                batches,
                places,
                steps.tasks,
                self.schema,
                self.run_dir.path,
                first_row,
            )

    def score_rows(self, rows: Rows) -> dict[str, np.ndarray]:
        """{task: float32 (N,)} of packed rows of any number."""
        names, size = list(self.steps.model.input), self.config.trainer.eval_batch_size
        found: dict[str, list[np.ndarray]] = {task.name: [] for task in self.steps.tasks}
        for start in range(0, max(len(rows[names[0]]), 1), size):  # without rows once, for the types
            scores = self.steps.score({name: rows[name][start : start + size] for name in names})
            for task, values in scores.items():
                found[task].append(values.numpy())
        return {task: np.concatenate(parts) for task, parts in found.items()}


@dataclass(frozen=True)
class RestoredRun(RestoredModel):
    """With the prepared data that it was trained on."""

    prepared: Prepared

    def batches(self, split: str, readers: Readers = ALONE):
        """Rows of a split in the order of the files; those of the readers that are here."""
        size = self.config.trainer.eval_batch_size
        return split_batches(self.prepared, split, size, self.steps.model, readers=readers)

    def score(self, split: str) -> Scored:
        """Every row of a split."""
        with Progress(f"evaluate {split}", self.prepared.rows(split), say) as progress:
            return score_rows(self.steps.score, self.batches(split), progress)


def restore_model(path: Path, checkpoint: str | int, strategy: StrategyConfig = ONE) -> RestoredModel:
    """Config and model of a run, with the weights of a checkpoint: "best", "last" or a step.

    Args:
        strategy: what it runs on, whatever it was trained on.
    Raises:
        InputError: there is no run or no such checkpoint, or it is damaged.
    """
    run_dir = RunDir(path)
    config, schema = _config(run_dir), read_schema(run_dir)
    if checkpoint == "all":
        raise InputError("checkpoint=all: expected one of them: best, last or a step.")
    (step,) = checkpoint_steps(run_dir, [checkpoint])
    here = dataclasses.replace(config, strategy=strategy)
    steps = build_steps(here, schema, CONSTANT_RATE, config.trainer.precision, trains=False)
    restore_weights(run_dir.checkpoints, step, steps.model)
    return RestoredModel(run_dir, config, schema, steps, step)


def restore_run(path: Path, checkpoint: str | int, strategy: StrategyConfig = ONE) -> RestoredRun:
    """The same with the data of the run.

    Raises:
        InputError: besides, the prepared data are not those that it was trained on.
    """
    run_dir = RunDir(path)
    prepared = _prepared(run_dir, _config(run_dir))
    model = restore_model(path, checkpoint, strategy)
    return RestoredRun(run_dir, model.config, model.schema, model.steps, model.step, prepared)


def read_schema(run_dir: RunDir) -> Schema:
    """Raises InputError where the schema of a run is missing or damaged."""
    try:
        return Schema.read(run_dir.schema)
    except (OSError, ValueError) as error:
        raise InputError(
            f"run={run_dir.path}: {run_dir.schema.name} is missing or damaged ({error}); expected the folder of a run."
        ) from error


def _config(run_dir: RunDir) -> TrainConfig:
    try:
        return train_config(parse(dict[str, Any], read_yaml(run_dir.config), run_dir.config.name))
    except (OSError, ValueError) as error:
        raise InputError(
            f"run={run_dir.path}: expected the folder of a run, with a whole {run_dir.config.name} of this version of "
            f"rectrain ({error})."
        ) from error


def _prepared(run_dir: RunDir, config: TrainConfig) -> Prepared:
    """What the report says the run was trained on, else what its config prepares."""
    manifest = _manifest(run_dir)
    if manifest is not None and manifest.is_file():
        prepared = Prepared.load(manifest.parent).with_lengths(config.data.history)
    else:
        prepared = prepare(config.data, say=say)
    if prepared.schema != read_schema(run_dir):
        raise InputError(
            f"run={run_dir.path} was trained on other data than {prepared.folder}: its {run_dir.schema.name} differs. "
            "Prepare the data of the run again (the raw files may have changed)."
        )
    return prepared


def _manifest(run_dir: RunDir) -> Path | None:
    try:
        return Path(read_json(run_dir.report)["data"]["manifest"])
    except (OSError, ValueError, KeyError, TypeError):  # stopped by force, or a job that failed before it began
        return None


def checkpoint_steps(run_dir: RunDir, checkpoints: Sequence[str | int]) -> list[int]:
    """The steps of "best", "last", "all" and of steps, each once.

    Raises:
        InputError: there is no checkpoint, or none of that step.
    """
    steps, best = read_index(run_dir.checkpoints)
    if not steps:
        raise InputError(f"run={run_dir.path} has no checkpoint: it ended before its first evaluation.")
    named: dict[str, list] = {"best": [] if best is None else [best], "last": steps[-1:], "all": steps}
    chosen = [step for checkpoint in checkpoints for step in named.get(str(checkpoint), [checkpoint])]
    for step in chosen or checkpoints or ["[]"]:
        if step not in steps:
            raise InputError(
                f"checkpoint={step}: expected best (after the first evaluation), last or one of the steps "
                f"{', '.join(map(str, steps))} that {run_dir.checkpoints} holds."
            )
    return list(dict.fromkeys(map(int, chosen)))
