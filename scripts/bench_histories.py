"""What long histories cost: reading a batch's steps from the store, and steps of SIM, as histories grow.

    python scripts/bench_histories.py [--lengths 100 1000 10000] [--rounds 5]

A log of a fixed number of rows is drawn for each length, whose users have that many events each, about 100 of a
category, so that the 50 hits of a row are found at every length; rows of the test split stand at the end of the
histories. Prints the bytes of the store an event, and for batches of 512 rows the milliseconds of reading the hits of
the candidate's category (sim_hard) and the newest steps of a long history (sim_soft), and of whole training steps.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from rectrain.data.history_views import HistoryViews
from rectrain.data.manifest import Prepared
from rectrain.data.prepare import prepare
from rectrain.data.row_groups import read_rows, row_groups
from rectrain.sections import train_config
from rectrain.training.build import build_steps

BATCH_SIZE = 512
NUM_EVENTS = 1_000_000
NUM_ITEMS = 10_000
EVENTS_OF_A_CATEGORY = 100
CONSTANT_RATE = {"warmup_steps": 0, "decay": "constant", "decay_steps": 1, "final_fraction": 0.0}


def main(lengths: list[int], rounds: int):
    print("| events a user | bytes an event | hits, ms | sim_hard step, ms | long history, ms | sim_soft step, ms |")
    print("|---|---|---|---|---|---|", flush=True)
    for length in lengths:
        with tempfile.TemporaryDirectory() as folder:
            write_log(Path(folder) / "log.parquet", length)
            cells = [f"{measured:,.1f}" for measured in measure(Path(folder), length, rounds)]
        print(f"| {length:,} | {' | '.join(cells)} |", flush=True)


def write_log(path: Path, length: int):
    rng = np.random.default_rng(length)
    num_users = NUM_EVENTS // length
    item = rng.integers(NUM_ITEMS, size=(length, num_users)).ravel()
    user = np.tile(np.arange(num_users), length)
    columns = {
        "user": user.astype(str),
        "item": item.astype(str),
        "category": (item % max(length // EVENTS_OF_A_CATEGORY, 1)).astype(str),
        "click": rng.integers(2, size=item.size),
        "time": np.repeat(np.arange(length) * 60, num_users),
    }
    pq.write_table(pa.table(columns), path)


def measure(folder: Path, length: int, rounds: int) -> list[float]:
    configs = {model: compose_config(model, folder, length) for model in ("sim_hard", "sim_soft")}
    prepared = prepare(configs["sim_hard"].data, say=lambda _: None)
    store = [path for path in (prepared.folder / "history").iterdir() if not path.name.endswith("starts.npy")]
    found = [sum(path.stat().st_size for path in store) / NUM_EVENTS]
    for config in configs.values():
        found += timed(config, prepared.with_lengths(config.data.history), rounds)
    return found


def compose_config(model: str, folder: Path, length: int):
    data = {
        "name": "log",
        "files": str(folder / "log.parquet"),
        "prepared_dir": str(folder / "prepared"),
        "format": {"reader": "parquet"},
        "labels": {"click": "click"},
        "time": {"column": "time", "format": None},
        "features": {"items": {"type": "categorical", "columns": ["item", "category"]}},
        "history": {
            "user": "user",
            "steps": ["item", "category"],
            "by": "category",
            "max_length": 50,
            "long_length": length,
            "hits_length": 50,
        },
        "split": {"by": "time"},
    }
    with initialize_config_module("rectrain.configs", version_base="1.3"):
        raw = OmegaConf.to_container(compose("train", [f"model={model}", "model.hidden_units=[128,64]"]), resolve=True)
    base = {key: value for key, value in raw["data"].items() if key not in ("features", "sample", "labels")}
    merged = {**base, **data, "split": {**base["split"], **data["split"]}, "sample": None, "folder": None}
    return train_config({**raw, "data": merged})


def timed(config, prepared: Prepared, rounds: int) -> list[float]:
    """Median milliseconds of reading a batch's histories, and of a training step on it."""
    steps = build_steps(config, prepared.schema, CONSTANT_RATE, "float32")
    views = HistoryViews.of(prepared.schema, prepared.folder, steps.model.input)
    rows = read_rows(prepared.schema, row_groups(prepared.shards("test"))[0])
    rng = np.random.default_rng(0)
    reading, training = [], []
    for _ in range(rounds + 1):
        chosen = rng.integers(len(rows["labels"]), size=BATCH_SIZE)
        batch = {name: column[chosen] for name, column in rows.items()}
        started = time.perf_counter()
        batch |= views.read(batch)
        reading.append(time.perf_counter() - started)
        dataset = tf.data.Dataset.from_tensors(batch).repeat()
        iterator = steps.distribute(dataset)
        steps.train(iterator, 1)
        started = time.perf_counter()
        steps.train(iterator, 5)
        training.append((time.perf_counter() - started) / 5)
    return [1000 * statistics.median(seconds[1:]) for seconds in (reading, training)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    main(arguments.lengths, arguments.rounds)
