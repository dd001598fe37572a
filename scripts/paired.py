"""Two frameworks on the same rows: differences of their metrics, paired row by row, with intervals.

Differences are means over seeds, with two 95 % intervals: a paired bootstrap over the rows, for these very runs, and
one over rows and seeds at once, which also holds for other seeds.
"""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from rectrain.data.manifest import Prepared
from rectrain.data.prepare import prepare
from rectrain.evaluation.evaluate import Scored
from rectrain.evaluation.metrics import auc, logloss
from rectrain.outputs.run_report import count_parameters
from rectrain.sections import train_config
from rectrain.signals import Signals
from rectrain.training.build import build_trainer
from rectrain.training.team import Alone

SEEDS = (2024, 2025, 2026)
NUM_RESAMPLES = 1000
HEADER = """\
| model | parameters | AUC | peer | difference | logloss | peer | difference | best epoch |
|---|---|---|---|---|---|---|---|---|"""


def train(overrides: list[str], split: str) -> tuple[dict, Prepared, Scored]:
    """One run of a recipe: {"labels", "probabilities" of the split, "parameters", "epoch"}, the data and all scores."""
    with initialize_config_module("rectrain.configs", version_base="1.3"):
        raw = OmegaConf.to_container(compose("train", overrides), resolve=True)
    config = train_config(raw)
    prepared = prepare(config.data, say=lambda _: None)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(
            config, prepared, Path(folder), team=Alone(), fixed={}, signals=Signals(), on_evaluation=lambda _: None
        )
        trainer.begin(datetime.now(UTC), 0.0)
        done = trainer.run()
        scored = trainer.score(split)
    labels, probabilities = scored.of(trainer.steps.tasks[0])
    found = {
        "labels": labels,
        "probabilities": probabilities,
        "parameters": count_parameters(trainer.steps.model)["total"],
        "epoch": done.best_step / trainer.steps_per_epoch,
    }
    return found, prepared, scored


def table_row(model: str, runs: list[dict], theirs: list[np.ndarray]) -> str:
    labels, ours = runs[0]["labels"], [run["probabilities"] for run in runs]
    epochs = ", ".join(f"{run['epoch']:.0f}" for run in runs)
    cells = [model, f"{runs[0]['parameters']:,}"]
    for metric in (auc, logloss):
        cells += [mean_and_deviation(metric, labels, ours), f"{np.mean(values(metric, labels, theirs)):.4f}"]
        cells += [difference(metric, labels, ours, theirs)]
    return f"| {' | '.join([*cells, epochs])} |"


def values(metric, labels, predictions: list[np.ndarray]) -> list[float]:
    return [metric(labels, p).value for p in predictions]


def mean_and_deviation(metric, labels, runs: list[np.ndarray]) -> str:
    """Over seeds."""
    found = values(metric, labels, runs)
    return f"{np.mean(found):.4f} ± {np.std(found, ddof=1):.4f}"


def difference(metric, labels, ours: list[np.ndarray], theirs: list[np.ndarray]) -> str:
    """Mean over our seeds - mean over theirs, with the interval over rows and that over rows and seeds."""
    estimate = np.mean(values(metric, labels, ours)) - np.mean(values(metric, labels, theirs))
    intervals = []
    for resample_seeds in (False, True):
        means = resampled_means(metric, labels, [ours, theirs], resample_seeds=resample_seeds)
        low, high = np.quantile(means[:, 0] - means[:, 1], [0.025, 0.975])
        intervals.append(f"[{low:+.4f}, {high:+.4f}]")
    return " ".join([f"{estimate:+.4f}", *intervals])


def interval(metric, labels, runs: list[np.ndarray]) -> str:
    """95 % interval of the mean over seeds; each resample draws rows anew."""
    low, high = np.quantile(resampled_means(metric, labels, [runs], resample_seeds=False), [0.025, 0.975])
    return f"[{low:.4f}, {high:.4f}]"


def resampled_means(metric, labels, sides: list[list[np.ndarray]], *, resample_seeds: bool) -> np.ndarray:
    """Mean over the seeds of each side, float (resamples, sides); each resample draws rows, and maybe seeds, anew."""
    rng = np.random.default_rng(0)
    draw = rng.integers if resample_seeds else lambda low, high, size: np.arange(size)
    means = []
    for _ in range(NUM_RESAMPLES):
        rows = rng.integers(0, len(labels), len(labels))
        means.append(
            [
                np.mean(values(metric, labels[rows], [side[i][rows] for i in draw(0, len(side), len(side))]))
                for side in sides
            ]
        )
    return np.array(means)
