"""Shared-Bottom and MMoE of equal size on two tasks that are ever less akin: what sharing costs, by task correlation.

    python scripts/bench_mmoe_synthetic.py [--seeds 12]

Each seed draws other rows, another function and other weights; under it both models train on the same rows. Prints the
table of docs/benchmarks.md: the test mse, mean of both tasks, as means over seeds with 95 % intervals (Student's t).
Differences are paired by seed; that of a sample's p from p = 1 too, as a seed's rows and function are the same under
each p.
"""

import argparse
import tempfile

import numpy as np
from paired import train
from scipy import stats

TRUTHS = ("p1", "p0.9", "p0.5")
FIRST_SEED = 1
MODELS = {
    "shared_bottom": ("model.hidden_units=[66]",),
    "mmoe": ("model.num_experts=8", "model.expert_units=[16]"),
}
RECIPE = (
    *("data=mmoe_synthetic", "task=auto", "model.tower_units=[16]", "optimizer=adam", "optimizer.learning_rate=2e-2"),
    *("trainer.batch_size=256", "trainer.epochs=26", "trainer.patience=null", "trainer.monitor=mse"),
    *("trainer.schedule.warmup_steps=400", "trainer.schedule.decay=cosine", "trainer.eval_every_steps=1000"),
)
HEADER = """\
| p | Shared-Bottom | MMoE | Shared-Bottom - MMoE |
|---|---|---|---|"""


def main(num_seeds: int):
    print(HEADER, flush=True)
    gaps = {}
    for truth in TRUTHS:
        with tempfile.TemporaryDirectory() as folder:
            seeds = range(FIRST_SEED, FIRST_SEED + num_seeds)
            bottom, mmoe = np.array([[test_mse(model, truth, seed, folder) for seed in seeds] for model in MODELS])
        gaps[truth] = bottom - mmoe
        cells = [truth.removeprefix("p"), *(mean_and_interval(values) for values in (bottom, mmoe, gaps[truth]))]
        print(f"| {' | '.join(cells)} |", flush=True)
    for truth in TRUTHS[1:]:
        growth = mean_and_interval(gaps[truth] - gaps["p1"])
        print(f"\ngrowth of the gap from p = 1 to p = {truth.removeprefix('p')}: {growth}")


def test_mse(model: str, truth: str, seed: int, folder: str) -> float:
    """Mean of both tasks, with the weights of the best evaluation."""
    sample = [f"data.sample.truth={truth}", f"data.sample.seed={seed}", f"data.prepared_dir={folder}/prepared"]
    _, _, scored = train([f"model={model}", *MODELS[model], *RECIPE, *sample, f"seed={seed}"], "test")
    predicted = np.stack([scored.probabilities[task] for task in ("y1", "y2")], axis=1)
    return float(np.mean((scored.labels.astype(np.float64) - predicted) ** 2))


def mean_and_interval(values: np.ndarray) -> str:
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{values.mean():.4f} [{values.mean() - half:.4f}, {values.mean() + half:.4f}]"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=12)
    main(parser.parse_args().seeds)
