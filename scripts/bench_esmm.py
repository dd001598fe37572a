"""ESMM against conversions learned from clicked rows alone, on impressions whose true conversion rate is known.

    python scripts/bench_esmm.py [--rows 150000] [--seeds 5]

Trains both with towers of equal size on the built-in sample data=ali_ccp, whose clicked rows are no fair sample of all.
For each of the last tenth of the impressions the truth is the chance that a click on it would convert. Prints the mean
over seeds of the training, in brackets the 95 % interval over rows and seeds of the difference, of

- AUC over all impressions: chance that of two of them, one drawn by its rate and one by its counterpart, the first is
  scored higher; and the cross-entropy of the true rate and the predicted one, in nats (that of the truth is the least);
- AUC and log loss over clicked rows, with the labels drawn.
"""

import argparse

import numpy as np
from paired import train

from rectrain.data.funnel_sample import ali_ccp_truth
from rectrain.evaluation.metrics import auc, logloss

TOWER = "[64,32]"
COMMON = ["data=ali_ccp", "data.source=sample", "model.embedding_dim=8", "model.dropout=0.0", "trainer.batch_size=1024"]
SIDES = {
    "esmm": ["model=esmm", "task=funnel", f"model.tower_units={TOWER}"],
    "clicked rows only": [
        "model=shared_bottom", "task=clicked_only", f"model.hidden_units={TOWER}", "model.tower_units=[]",
    ],
}  # fmt: skip
NUM_RESAMPLES = 500


def main(rows: int, num_seeds: int):
    predictions = {side: [] for side in SIDES}
    for seed in range(1, num_seeds + 1):
        for side, overrides in SIDES.items():
            sample = [f"data.sample.rows={rows}", f"seed={seed}"]
            _, prepared, scored = train([*overrides, *COMMON, *sample], "test")
            predictions[side].append(scored.probabilities["cvr"])
    labels = {name: scored.labels[:, k] for k, name in enumerate(prepared.schema.labels)}
    truth = ali_ccp_truth(prepared.manifest["sample"]["seed"], rows)[1][-len(scored.labels) :]
    clicked = np.flatnonzero(labels["click"] == 1)
    print(f"{len(truth):,} impressions, {len(clicked):,} clicks; true rate {truth.mean():.3f} of all impressions and")
    print(
        f"{truth[clicked].mean():.3f} of clicked ones; cross-entropy of the truth {cross_entropy(truth, truth):.4f}\n"
    )
    print("| | esmm | clicked rows only | difference |\n|---|---|---|---|")
    everywhere, converted = np.arange(len(truth)), labels["conversion"]
    for title, metric, of, places in (
        ("AUC, all impressions", expected_auc, truth, everywhere),
        ("cross-entropy, all impressions", cross_entropy, truth, everywhere),
        ("AUC, clicked rows", lambda y, p: auc(y, p).value, converted, clicked),
        ("log loss, clicked rows", lambda y, p: logloss(y, p).value, converted, clicked),
    ):
        print(table_row(title, metric, of, places, predictions), flush=True)


def table_row(title: str, metric, truth: np.ndarray, places: np.ndarray, predictions: dict) -> str:
    means = [np.mean([metric(truth[places], p[places]) for p in of]) for of in predictions.values()]
    rng = np.random.default_rng(0)
    differences = [one_difference(metric, truth, places, predictions, rng) for _ in range(NUM_RESAMPLES)]
    low, high = np.quantile(differences, [0.025, 0.975])
    return f"| {title} | {means[0]:.4f} | {means[1]:.4f} | {means[0] - means[1]:+.4f} [{low:+.4f}, {high:+.4f}] |"


def one_difference(metric, truth: np.ndarray, places: np.ndarray, predictions: dict, rng) -> float:
    """Of means over resampled seeds of each side, on the same resampled rows."""
    drawn = rng.choice(places, len(places))
    sides = []
    for of in predictions.values():
        seeds = rng.integers(len(of), size=len(of))
        values = {seed: metric(truth[drawn], of[seed][drawn]) for seed in set(seeds.tolist())}
        sides.append(np.mean([values[seed] for seed in seeds.tolist()]))
    return sides[0] - sides[1]


def expected_auc(rates: np.ndarray, scores: np.ndarray) -> float:
    """AUC where a row is a positive for a share of `rates` of it; ties count half."""
    _, tie = np.unique(scores, return_inverse=True)
    positives, negatives = np.bincount(tie, rates), np.bincount(tie, 1 - rates)
    below = np.cumsum(negatives) - negatives / 2
    return float(positives @ below / (positives.sum() * negatives.sum()))


def cross_entropy(rates: np.ndarray, predictions: np.ndarray) -> float:
    p = np.clip(predictions.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-(rates * np.log(p) + (1 - rates) * np.log1p(-p)).mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=150_000)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    main(arguments.rows, arguments.seeds)
