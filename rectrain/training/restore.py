"""A run that is over, made usable again from its directory."""

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from rectrain.config import TrainConfig
from rectrain.console import say
from rectrain.data.manifest import Prepared
from rectrain.data.prepare import prepare
from rectrain.errors import InputError
from rectrain.evaluation.evaluate import Scored, score_rows
from rectrain.progress import Progress
from rectrain.run_dir import RunDir
from rectrain.schema import Schema
from rectrain.sections import train_config
from rectrain.training.build import CONSTANT_RATE, build_steps
from rectrain.training.checkpoint import read_index, restore_weights
from rectrain.training.steps import Steps
from rectrain.training.trainer import split_batches


@dataclass(frozen=True)
class RestoredRun:
    config: TrainConfig
    prepared: Prepared
    steps: Steps
    step: int  # of the checkpoint

    def batches(self, split: str):
        """Rows of a split in the order of the files."""
        return split_batches(self.prepared, split, self.config.trainer.eval_batch_size, self.steps.model)

    def score(self, split: str) -> Scored:
        """Every row of a split."""
        with Progress(f"evaluate {split}", self.prepared.rows(split), say) as progress:
            return score_rows(self.steps.score, self.batches(split), progress)


def restore_run(path: Path, checkpoint: str | int) -> RestoredRun:
    """Config, data and model of a run, with the weights of a checkpoint: "best", "last" or a step.

    Raises:
        InputError: there is no run, no such checkpoint, or the prepared data are not those that it was trained on.
    """
    run_dir = RunDir(path)
    config = _config(run_dir)
    prepared = _prepared(run_dir, config)
    step = _step(run_dir, checkpoint)
    steps = build_steps(config, prepared.schema, CONSTANT_RATE, config.trainer.precision, trains=False)
    restore_weights(run_dir.checkpoints, step, steps.model)
    return RestoredRun(config, prepared, steps, step)


def _config(run_dir: RunDir) -> TrainConfig:
    try:
        raw = yaml.safe_load(run_dir.config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"run={run_dir.path}: expected the folder of a run, with its {run_dir.config.name} ({error})."
        ) from error
    return train_config(raw)


def _prepared(run_dir: RunDir, config: TrainConfig) -> Prepared:
    """What the report says the run was trained on, else what its config prepares."""
    manifest = _manifest(run_dir)
    if manifest is not None and manifest.is_file():
        prepared = Prepared.load(manifest.parent).with_lengths(config.data.history)
    else:
        prepared = prepare(config.data, say=say)
    if prepared.schema != Schema.read(run_dir.schema):
        raise InputError(
            f"run={run_dir.path} was trained on other data than {prepared.folder}: its {run_dir.schema.name} differs. "
            "Prepare the data of the run again (the raw files may have changed)."
        )
    return prepared


def _manifest(run_dir: RunDir) -> Path | None:
    try:
        return Path(json.loads(run_dir.report.read_text(encoding="utf-8"))["data"]["manifest"])
    except (OSError, ValueError, KeyError, TypeError):  # stopped by force, or a job that failed before it began
        return None


def _step(run_dir: RunDir, checkpoint: str | int) -> int:
    steps, best = read_index(run_dir.checkpoints)
    chosen = {"best": best, "last": steps[-1] if steps else None}.get(str(checkpoint), checkpoint)
    if chosen is None or not steps:
        raise InputError(f"run={run_dir.path} has no checkpoint: it ended before its first evaluation.")
    if chosen not in steps:
        raise InputError(
            f"checkpoint={checkpoint}: expected best, last or one of the steps {', '.join(map(str, steps))} that "
            f"{run_dir.checkpoints} holds."
        )
    return int(chosen)
