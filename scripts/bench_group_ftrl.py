"""AUC against embedding rows kept: FM under FTRL with ever more group L1, on 110,000 real Criteo rows.

    python scripts/bench_group_ftrl.py ROWS [--seeds 1 2 3]

ROWS: raw rows in Criteo's layout. Trains on the first 80 %, stops on the next 10 % and scores the last 10 %. A row of
the embedding table is kept where it is not exactly zero. Prints the table of docs/benchmarks.md.
"""

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from rectrain.data.prepare import prepare
from rectrain.evaluation.metrics import auc
from rectrain.sections import train_config
from rectrain.signals import Signals
from rectrain.training.build import build_trainer
from rectrain.training.team import Alone

STRENGTHS = (0.0, 1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3, 3.2e-3, 6.4e-3)
RECIPE = ("model=fm", "optimizer=ftrl", "optimizer.alpha=0.05", "optimizer.beta=2e-3", "trainer.batch_size=512")
HEADER = """\
| lambda_group | rows kept | of all | test AUC |
|---|---|---|---|"""


def main(rows: str, seeds: list[int]):
    print(HEADER, flush=True)
    for strength in STRENGTHS:
        found = [train(rows, strength, seed) for seed in seeds]
        kept, all_rows, aucs = (np.array(column, float) for column in zip(*found, strict=True))
        spread = f" ± {aucs.std(ddof=1):.4f}" if len(seeds) > 1 else ""
        share = f"{kept.mean() / all_rows.mean():.1%}"
        print(f"| {strength:g} | {kept.mean():,.0f} | {share} | {aucs.mean():.4f}{spread} |", flush=True)


def train(rows: str, strength: float, seed: int) -> tuple[int, int, float]:
    """(rows kept, all rows, test AUC) with the weights of the best epoch."""
    overrides = [*RECIPE, f"optimizer.lambda_group={strength}", f"data.files={rows}", f"seed={seed}"]
    with initialize_config_module("rectrain.configs", version_base="1.3"):
        config = train_config(OmegaConf.to_container(compose("train", overrides), resolve=True))
    prepared = prepare(config.data, say=lambda _: None)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(
            config, prepared, Path(folder), team=Alone(), fixed={}, signals=Signals(), on_evaluation=lambda _: None
        )
        trainer.begin(datetime.now(UTC), 0.0)
        trainer.run()
        labels, scores = trainer.score("test").of(trainer.steps.tasks[0])
    embedding = trainer.steps.model.get_layer("embedding")
    vectors = embedding.table.numpy()[:, : embedding.width]
    return int(vectors.any(axis=1).sum()), len(vectors), auc(labels, scores).value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    arguments = parser.parse_args()
    main(arguments.rows, arguments.seeds)
