"""What it costs to train from prepared parquet instead of batches that lie in memory.

    python scripts/bench_data_path.py [ROWS.tsv ...] [--models lr fm deepfm] [--rounds 5]

ROWS.tsv: raw rows in Criteo's layout, a million or so; without them the built-in sample is drawn. They are prepared
once into a temporary folder. Then three ways of feeding take turns: one batch over and over, a hundred different
batches over and over (their rows of the tables are not in the caches: no data path is faster), and prepared parquet,
shuffled. Prints, for each model, the median rates and the median, lowest and highest ratio of parquet to both others.
"""

import argparse
import math
import statistics
import tempfile
import time

import tensorflow as tf
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from rectrain.data.batches import Shuffle, batches
from rectrain.data.manifest import Prepared
from rectrain.data.prepare import prepare
from rectrain.sections import train_config
from rectrain.training.build import build_steps
from rectrain.training.steps import Steps

BATCH_SIZE = 4096
STEPS_PER_CALL = 40
EPOCHS_A_ROUND = 2
CONSTANT_RATE = {"warmup_steps": 0, "decay": "constant", "decay_steps": 1, "final_fraction": 0.0}
DIFFERENT_BATCHES = 100
HEADER = """\
| model | one batch, rows/s | 100 batches, rows/s | parquet, rows/s | parquet / one batch | parquet / 100 batches |
|---|---|---|---|---|---|"""


def main(files: list[str], models: list[str], rounds: int):
    print(HEADER, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            config = compose_config(model, files, folder)
            prepared = prepare(config.data, say=lambda _: None)
            steps = build_steps(config, prepared.schema, CONSTANT_RATE, config.trainer.precision)
            print(table_row(model, measure(steps, prepared, rounds)), flush=True)


def compose_config(model: str, files: list[str], folder: str):
    source = [f"data.files=[{','.join(files)}]"] if files else ["data.source=sample", "data.sample.rows=1000000"]
    overrides = [f"model={model}", *source, f"data.prepared_dir={folder}/prepared", "data.split.train=0.98"]
    with initialize_config_module("rectrain.configs", version_base="1.3"):
        raw = compose("train", [*overrides, "data.split.valid=0.01", "data.split.test=0.01"])
    return train_config(OmegaConf.to_container(raw, resolve=True))


def measure(steps: Steps, prepared: Prepared, rounds: int) -> list[tuple[float, ...]]:
    """Rows a second (one batch, different batches, parquet) of each round; each way has the machine for itself."""
    num_steps = EPOCHS_A_ROUND * math.ceil(prepared.rows("train") / BATCH_SIZE)
    different = shuffled(prepared, 0).take(DIFFERENT_BATCHES)
    one = tf.data.Dataset.from_tensors(next(iter(different))).repeat()
    many = tf.data.Dataset.from_tensor_slices(stacked(different)).repeat()
    rates = [
        tuple(rate(steps, dataset, num_steps) for dataset in (one, many, shuffled(prepared, epoch)))
        for epoch in range(rounds + 1)
    ]
    return rates[1:]  # the first round warms up


def stacked(dataset: tf.data.Dataset) -> dict[str, tf.Tensor]:
    return dataset.batch(DIFFERENT_BATCHES).get_single_element()


def shuffled(prepared: Prepared, epoch: int) -> tf.data.Dataset:
    shuffle = Shuffle(seed=epoch, epoch=0, window=1_000_000, num_epochs=EPOCHS_A_ROUND + 1)
    return batches(prepared.schema, prepared.shards("train"), BATCH_SIZE, shuffle)


def rate(steps: Steps, dataset: tf.data.Dataset, num_steps: int) -> float:
    """Rows a second once the first batch is there."""
    iterator = steps.distribute(dataset)
    steps.train(iterator, 1)
    started = time.perf_counter()
    for _ in range(num_steps // STEPS_PER_CALL):
        steps.train(iterator, STEPS_PER_CALL)
    return num_steps // STEPS_PER_CALL * STEPS_PER_CALL * BATCH_SIZE / (time.perf_counter() - started)


def table_row(model: str, rates: list[tuple[float, ...]]) -> str:
    one, many, parquet = (statistics.median(side) for side in zip(*rates, strict=True))
    to_one, to_many = (spread([r[2] / r[way] for r in rates]) for way in (0, 1))
    return f"| {model} | {one:,.0f} | {many:,.0f} | {parquet:,.0f} | {to_one} | {to_many} |"


def spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--models", nargs="+", default=["lr", "fm", "deepfm"])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    main(arguments.files, arguments.models, arguments.rounds)
