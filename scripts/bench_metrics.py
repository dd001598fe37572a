"""Seconds that exact metrics take, in memory and by an external sort.

    python scripts/bench_metrics.py [--rows 10000000] [--streamed 100000000] [--folder DIR]

Scores are float32 probabilities that know something of the labels, nearly all of them distinct. --streamed rows are
made block by block and never held together; --folder has to have 4 bytes of room for each.
"""

import argparse
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rectrain.evaluation import metrics
from rectrain.evaluation.external import auc_of_blocks

BLOCK_ROWS = 1_000_000


def main(num_rows: int, num_streamed: int, folder: Path | None):
    labels, scores = (np.concatenate(parts) for parts in zip(*blocks(num_rows), strict=True))
    for name, work in {
        "auc with its interval": lambda: metrics.auc(labels, scores),
        "all six metrics with intervals": lambda: metrics.compute(labels, scores, seed=0),
    }.items():
        seconds = sorted(timed(work)[0] for _ in range(3))
        print(f"{num_rows:,} rows, {name}: {seconds[1]:.2f} s (median of 3)", flush=True)
    making = timed(lambda: sum(len(labels) for labels, _ in blocks(num_streamed)))[0]
    seconds, estimate = timed(lambda: auc_of_blocks(blocks(num_streamed), folder=folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{num_streamed:,} rows streamed: {seconds - making:.1f} s (making them left out), AUC {estimate.value:.6f}")
    print(f"peak memory of the process {peak:,.0f} MiB")


def blocks(num_rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, num_rows, BLOCK_ROWS):
        rng = np.random.default_rng(start)
        size = min(BLOCK_ROWS, num_rows - start)
        labels = (rng.random(size, np.float32) < 0.25).astype(np.float32)
        yield labels, 1 / (1 + np.exp(1.5 - labels - rng.standard_normal(size, np.float32)))


def timed(work) -> tuple[float, object]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--streamed", type=int, default=100_000_000)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    main(arguments.rows, arguments.streamed, arguments.folder)
