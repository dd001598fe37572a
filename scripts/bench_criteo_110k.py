"""The seven models on 110,000 real Criteo rows, paired row by row with the predictions of another framework.

    python scripts/bench_criteo_110k.py ROWS THEIRS.npz [model ...]

ROWS: the raw rows (train_110k.tsv.gz). THEIRS.npz: probabilities of rows 99,000-109,999 in file order, one array
"<model>.<seed>" a run. Trains experiment=criteo_110k/<model> with three seeds and prints the table of
docs/benchmarks.md. Differences are means over seeds, with two 95 % intervals: a paired bootstrap over the rows, for
these very runs, and one over rows and seeds at once, which also holds for other seeds.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from rectrain.data.prepare import prepare
from rectrain.evaluation.metrics import auc, logloss
from rectrain.run_dir import RunDir
from rectrain.sections import train_config
from rectrain.training.build import build_trainer

THEIR_NAMES = {
    "lr": "LR",
    "fm": "FM_L2_1e-3",
    "wide_deep": "WideDeep",
    "deepfm": "DeepFM",
    "dcn": "DCN",
    "dcn_v2": "DCNv2",
    "autoint": "AutoInt",
}
SEEDS = (2024, 2025, 2026)
NUM_RESAMPLES = 1000
HEADER = """\
| model | parameters | AUC | peer | difference | logloss | peer | difference | best epoch |
|---|---|---|---|---|---|---|---|---|"""


def main(rows: str, theirs_file: str, models: list[str]):
    theirs_of = np.load(theirs_file)
    print(HEADER, flush=True)
    for model in models or THEIR_NAMES:
        runs = [train(model, rows, seed) for seed in SEEDS]
        theirs = [theirs_of[name] for name in theirs_of if name.rpartition(".")[0] == THEIR_NAMES[model]]
        print(table_row(model, runs, theirs), flush=True)


def train(model: str, rows: str, seed: int) -> dict:
    """One run of the recipe: labels, probabilities of the validation rows, parameters and best epoch."""
    with initialize_config_module("rectrain.configs", version_base="1.3"):
        overrides = [f"experiment=criteo_110k/{model}", f"data.files={rows}", f"seed={seed}"]
        raw = OmegaConf.to_container(compose("train", overrides), resolve=True)
    config = train_config(raw)
    prepared = prepare(config.data, say=lambda _: None)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(config, prepared, RunDir(Path(folder)), on_evaluation=lambda _: None)
        done = trainer.run()
        scored = trainer.score("valid")
    labels, probabilities = scored.of(trainer.steps.tasks[0])
    return {
        "labels": labels,
        "probabilities": probabilities,
        "parameters": trainer.steps.model.count_params(),
        "epoch": done.best_step / trainer.steps_per_epoch,
    }


def table_row(model: str, runs: list[dict], theirs: list[np.ndarray]) -> str:
    labels, ours = runs[0]["labels"], [run["probabilities"] for run in runs]
    epochs = ", ".join(f"{run['epoch']:.0f}" for run in runs)
    cells = [model, f"{runs[0]['parameters']:,}"]
    for metric in (auc, logloss):
        mine, peer = values(metric, labels, ours), values(metric, labels, theirs)
        rows = interval(metric, labels, ours, theirs, resample_seeds=False)
        rows_and_seeds = interval(metric, labels, ours, theirs, resample_seeds=True)
        cells += [f"{np.mean(mine):.4f} ± {np.std(mine, ddof=1):.4f}", f"{np.mean(peer):.4f}"]
        cells += [f"{np.mean(mine) - np.mean(peer):+.4f} {rows} {rows_and_seeds}"]
    return f"| {' | '.join([*cells, epochs])} |"


def values(metric, labels, predictions: list[np.ndarray]) -> list[float]:
    return [metric(labels, p).value for p in predictions]


def interval(metric, labels, ours: list[np.ndarray], theirs: list[np.ndarray], *, resample_seeds: bool) -> str:
    """95 % interval of mean over our seeds - mean over theirs; each resample draws rows, and maybe seeds, anew."""
    rng = np.random.default_rng(0)
    draw = rng.integers if resample_seeds else lambda low, high, size: np.arange(size)
    differences = []
    for _ in range(NUM_RESAMPLES):
        rows = rng.integers(0, len(labels), len(labels))
        means = [
            np.mean(values(metric, labels[rows], [side[i][rows] for i in draw(0, len(side), len(side))]))
            for side in (ours, theirs)
        ]
        differences.append(means[0] - means[1])
    low, high = np.quantile(differences, [0.025, 0.975])
    return f"[{low:+.4f}, {high:+.4f}]"


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"usage: make bench-criteo ROWS=train_110k.tsv.gz THEIRS=predictions.npz\n\n{__doc__}")
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
