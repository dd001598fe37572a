"""Writes the rows of `rectrain bench bench.history_length=...` for a peer: the same ids in the same order.

    python scripts/peers/make_history_data.py FOLDER --vocabulary 1000000 --features 6 --length 50

Runs in rectrain's own environment. FOLDER/ids.npz holds label as float32, the features C1.. as int32 from 1 (0 is for
padding) and history_<feature> as int32 (N, T) of the last two features; `tables.json` the rows of the tables.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from rectrain.config import StepBenchConfig
from rectrain.training.bench import synthetic_batch, synthetic_schema

BATCH_SIZE = 4096
NUM_BATCHES = 40
SEED = 2026


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vocabulary", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=6)
    parser.add_argument("--length", type=int, default=50)
    arguments = parser.parse_args()
    write(arguments.folder, arguments.vocabulary, arguments.features, arguments.length)


def write(folder: Path, vocabulary: int, num_features: int, length: int):
    shape = StepBenchConfig(vocabulary, num_features, 0, length, BATCH_SIZE, NUM_BATCHES, "float32")
    schema = synthetic_schema(shape)
    batches = [columns(schema, synthetic_batch(schema, BATCH_SIZE, SEED + i)) for i in range(NUM_BATCHES)]
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "ids.npz", **{name: np.concatenate([b[name] for b in batches]) for name in batches[0]})
    (folder / "tables.json").write_text(json.dumps([f.num_rows + 1 for f in schema.categorical]), encoding="utf-8")


def columns(schema, batch) -> dict[str, np.ndarray]:
    found = {"label": batch["labels"][:, 0]}
    for i, feature in enumerate(schema.categorical):
        found[feature.name] = batch["categorical"][:, i] - feature.offset + 1
    for step in schema.histories[0].steps:
        found[f"history_{step.name}"] = batch[f"history_{step.name}"] - step.offset + 1
    return found


if __name__ == "__main__":
    main()
