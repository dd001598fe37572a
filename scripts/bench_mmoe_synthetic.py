"""Shared-Bottom and MMoE of equal size on two tasks that are ever less akin: what sharing costs, by task correlation.

    python scripts/bench_mmoe_synthetic.py [--seeds 32] [--processes 2]

Each seed draws other rows, another function and other weights; under it both models train on the same rows. Prints the
table of docs/benchmarks.md: the test mse, mean of both tasks, as means over seeds with 95 % intervals (Student's t).
Differences are paired by seed; so is the growth of the gap from one p to the next, as a seed's points, noise and first
task are the same under each p. It takes many seeds: a seed's growth has a standard deviation above its mean.

Towers are linear and training stops early: with layers in the towers, or after longer training, no growth from p = .9
to .5 was found (docs/benchmarks.md).
"""

import argparse
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from multiprocessing import get_context

import numpy as np
from paired import train
from scipy import stats

TRUTHS = ("p1", "p0.9", "p0.5")
FIRST_SEED = 2001
MODELS = {
    "shared_bottom": ("model.hidden_units=[66]",),  # 1,256 parameters
    "mmoe": ("model.num_experts=4", "model.expert_units=[16]"),  # 1,250
}
RECIPE = (
    *("data=mmoe_synthetic", "task=auto", "model.tower_units=[]", "optimizer=adam", "optimizer.learning_rate=5e-3"),
    *("trainer.batch_size=256", "trainer.epochs=8", "trainer.patience=null", "trainer.monitor=mse"),
    *("trainer.schedule.warmup_steps=125", "trainer.schedule.decay=cosine", "trainer.eval_every_steps=1000"),
    "trainer.steps_per_call=500",
)
HEADER = """\
| p | Shared-Bottom | MMoE | Shared-Bottom - MMoE |
|---|---|---|---|"""


def main(num_seeds: int, num_processes: int):
    # The models are too small to share a step among threads.
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    print(HEADER, flush=True)
    gaps = {}
    with ProcessPoolExecutor(num_processes, get_context("spawn")) as pool:
        for truth in TRUTHS:
            seeds = range(FIRST_SEED, FIRST_SEED + num_seeds)
            bottom, mmoe = np.array(list(pool.map(both_mse, [truth] * num_seeds, seeds))).T
            gaps[truth] = bottom - mmoe
            cells = [truth.removeprefix("p"), *(mean_and_interval(values) for values in (bottom, mmoe, gaps[truth]))]
            print(f"| {' | '.join(cells)} |", flush=True)
    for before, after in combinations(TRUTHS, 2):
        growth = mean_and_interval(gaps[after] - gaps[before])
        print(f"\ngrowth of the gap from p = {before.removeprefix('p')} to {after.removeprefix('p')}: {growth}")


def both_mse(truth: str, seed: int) -> list[float]:
    """Test mse of each model, with the weights of its best evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        sample = [f"data.sample.truth={truth}", f"data.sample.seed={seed}", f"data.prepared_dir={folder}/prepared"]
        return [test_mse(model, [*settings, *sample, f"seed={seed}"]) for model, settings in MODELS.items()]


def test_mse(model: str, overrides: list[str]) -> float:
    """Mean of both tasks."""
    _, _, scored = train([f"model={model}", *RECIPE, *overrides], "test")
    predicted = np.stack([scored.probabilities[task] for task in ("y1", "y2")], axis=1)
    return float(np.mean((scored.labels.astype(np.float64) - predicted) ** 2))


def mean_and_interval(values: np.ndarray) -> str:
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{values.mean():.4f} [{values.mean() - half:.4f}, {values.mean() + half:.4f}]"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=32)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    main(arguments.seeds, arguments.processes)
