"""What a training step sends between two processes, by the size of the tables.

    python scripts/bench_wire.py [--vocabularies 100000 10000000] [--batch 1024] [--steps 20]

Two processes on this machine train DeepFM in a network of their own (`unshare`), so that the counters of its loopback
interface hold what they say to each other and nothing else. The batches look up the same numbers of distinct rows
whatever the size of the tables: the rows of the smallest tables, spread over the larger ones. What is sent before the
first step, the tables among it, is left out. Each process has one core of its own, as far as there are cores.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time

import numpy as np
import tensorflow as tf
from bench_parameter_server import received
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from rectrain.cluster import free_addresses, from_environment
from rectrain.config import StrategyConfig
from rectrain.sections import bench_config
from rectrain.training import bench
from rectrain.training import strategy as strategies
from rectrain.training.build import CONSTANT_RATE, build_steps

BENCH = ["model=deepfm", "bench.precision=float32"]


def main(vocabularies: list[int], batch_size: int, num_steps: int):
    print("| rows in tables | distinct rows a batch | kB a step | of which rows and values | ms a step |")
    for vocabulary in vocabularies:
        found = measured(vocabulary, min(vocabularies), batch_size, num_steps)
        least = found["rows_sent"] * 4 * (1 + found["width"]) / 1000
        print(
            f"| {vocabulary:,} | {found['distinct_rows']:,} | {found['bytes'] / 1000:,.0f} | {least:,.0f} | "
            f"{found['ms']:.0f} |",
            flush=True,
        )


def measured(vocabulary: int, smallest: int, batch_size: int, num_steps: int) -> dict:
    """What worker 0 has counted."""
    cluster = {"worker": free_addresses(2)}
    words = [sys.executable, __file__, "--member", str(vocabulary), str(smallest), str(batch_size), str(num_steps)]
    told = [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}}) for i in range(2)]
    first, second = (
        subprocess.Popen(words, env={**os.environ, "TF_CONFIG": text}, stdout=subprocess.PIPE, text=True)
        for text in told
    )
    text, _ = first.communicate()
    second.communicate()
    if first.returncode:
        raise SystemExit(text)
    return json.loads(text.splitlines()[-1])


def member(vocabulary: int, smallest: int, batch_size: int, num_steps: int):
    position = from_environment("multi_worker").position
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[position % len(cores)]})  # before TensorFlow counts them
    made = strategies.create(StrategyConfig("multi_worker", communication="ring", wait_s=60.0))
    words = [*BENCH, "strategy=one", f"bench.vocabulary={vocabulary}", f"bench.batch_size={batch_size}"]
    with initialize_config_module("rectrain.configs", version_base="1.3"):
        config = bench_config(OmegaConf.to_container(compose("bench", words), resolve=True))
    schema = bench.synthetic_schema(config.bench)
    steps = build_steps(config, schema, CONSTANT_RATE, "float32", strategy=made)
    batches = [spread(config, schema, smallest, 2 * i + position) for i in range(4)]
    stacked = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
    iterator = steps.distribute(tf.data.Dataset.from_tensor_slices(stacked).repeat().prefetch(2))
    steps.train(iterator, 8)
    before, started = received(), time.perf_counter()
    steps.train(iterator, num_steps)
    seconds, sent = time.perf_counter() - started, received() - before
    distinct = round(float(np.mean([np.unique(batch["categorical"]).size for batch in batches])))
    width = max(w.shape[1] for w in steps.model.trainable_variables if w.path.endswith("/table"))
    print(json.dumps({"bytes": sent / num_steps, "ms": 1000 * seconds / num_steps, "distinct_rows": distinct,
                      "rows_sent": 2 * distinct, "width": width}))  # fmt: skip


def spread(config, schema, smallest: int, seed: int) -> dict:
    """A batch of the smallest tables, its rows spread over the tables of `schema`."""
    small = bench.synthetic_schema(dataclasses.replace(config.bench, vocabulary=smallest))
    batch = bench.synthetic_batch(small, config.bench.batch_size // 2, seed)
    for i, (narrow, wide) in enumerate(zip(small.categorical, schema.categorical, strict=True)):
        rows = batch["categorical"][:, i].astype("int64") - narrow.offset
        batch["categorical"][:, i] = wide.offset + rows * (wide.num_rows // narrow.num_rows)
    return batch


if __name__ == "__main__":
    if sys.argv[1:2] == ["--member"]:
        member(*map(int, sys.argv[2:]))
        sys.exit()
    if sys.argv[1:2] != ["--inside"]:
        inside = f"ip link set lo up && exec {sys.executable} {__file__} --inside " + " ".join(sys.argv[1:])
        sys.exit(subprocess.call(["unshare", "-rn", "sh", "-c", inside]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[100_000, 10_000_000])
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    main(arguments.vocabularies, arguments.batch, arguments.steps)
