"""What a training step sends between two processes, by the size of the tables.

    python scripts/bench_wire.py [--strategy multi_worker] [--vocabularies 100000 10000000] [--steps 20]

Two processes on this machine train DeepFM in a network of their own (`unshare`), so that the counters of its loopback
interface hold what they say to each other and nothing else. The batches look up the same numbers of distinct rows
whatever the size of the tables: the rows of the smallest tables, spread over the larger ones. What is sent before the
first step, the tables among it, is left out.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BENCH = ["model=deepfm", "bench.batch_size=1024", "bench.precision=float32"]


def main(strategy: str, vocabularies: list[int], num_steps: int):
    print("| rows in tables | distinct rows a batch | kB a step | of which rows and values | ms a step |")
    for vocabulary in vocabularies:
        found = measured(strategy, vocabulary, min(vocabularies), num_steps)
        least = found["rows_sent"] * 4 * (1 + found["width"]) / 1000
        print(
            f"| {vocabulary:,} | {found['distinct_rows']:,} | {found['bytes'] / 1000:,.0f} | {least:,.0f} | "
            f"{found['ms']:.0f} |",
            flush=True,
        )


def measured(strategy: str, vocabulary: int, smallest: int, num_steps: int) -> dict:
    """What worker 0 has counted."""
    from tests.clusters import addresses, ended, outputs, start  # not a package of the project's own

    cluster = {"worker": addresses(2)}
    words = [str(Path(__file__)), "--member", strategy, str(vocabulary), str(smallest), str(num_steps)]
    with ended([start(cluster, "worker", i, *words, cwd=ROOT) for i in range(2)]) as processes:
        (code, text), _ = outputs(processes, 1200)
        if code:
            raise SystemExit(text)
    return json.loads(text.splitlines()[-1])


def member(strategy: str, vocabulary: int, smallest: int, num_steps: int):
    import time

    import numpy as np
    import tensorflow as tf
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    from rectrain.sections import bench_config
    from rectrain.training import bench
    from rectrain.training.build import CONSTANT_RATE, build_steps

    words = [*BENCH, "strategy=one", f"bench.vocabulary={vocabulary}"]
    with initialize_config_module("rectrain.configs", version_base="1.3"):
        config = bench_config(OmegaConf.to_container(compose("bench", words), resolve=True))
    strategies = __import__("rectrain.training.strategy", fromlist=["create"])
    from rectrain.config import StrategyConfig

    wanted = StrategyConfig(strategy, communication="ring", wait_s=60.0)
    made = strategies.create(wanted)
    strategies.create = lambda _: made
    position = int(json.loads(__import__("os").environ["TF_CONFIG"])["task"]["index"])
    schema = bench.synthetic_schema(config.bench)
    steps = build_steps(config, schema, CONSTANT_RATE, "float32")
    batches = [spread(bench, config, schema, smallest, 2 * i + position) for i in range(4)]
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


def spread(bench, config, schema, smallest: int, seed: int) -> dict:
    """A batch of the smallest tables, its rows spread over the tables of `schema`."""
    import dataclasses

    small = bench.synthetic_schema(dataclasses.replace(config.bench, vocabulary=smallest))
    batch = bench.synthetic_batch(small, config.bench.batch_size // 2, seed)
    for i, (narrow, wide) in enumerate(zip(small.categorical, schema.categorical, strict=True)):
        rows = batch["categorical"][:, i].astype("int64") - narrow.offset
        batch["categorical"][:, i] = wide.offset + rows * (wide.num_rows // narrow.num_rows)
    return batch


def received() -> int:
    """Bytes that have come in at the loopback interface."""
    for line in Path("/proc/net/dev").read_text(encoding="ascii").splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == "lo":
            return int(figures.split()[0])
    raise AssertionError


if __name__ == "__main__":
    if sys.argv[1:2] == ["--member"]:
        member(sys.argv[2], *map(int, sys.argv[3:]))
        sys.exit()
    if sys.argv[1:2] != ["--inside"]:
        inside = f"ip link set lo up && exec {sys.executable} {__file__} --inside " + " ".join(sys.argv[1:])
        sys.exit(subprocess.call(["unshare", "-rn", "sh", "-c", inside]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--strategy", default="multi_worker")
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[100_000, 10_000_000])
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    main(arguments.strategy, arguments.vocabularies, arguments.steps)
