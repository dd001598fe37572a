"""What the scripts of the peers share: command line, data, clock, and the line that bench_peers.py reads."""

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np

LABEL = "label"
NUMERIC = [f"I{i}" for i in range(1, 14)]
CATEGORICAL = [f"C{i}" for i in range(1, 27)]
BATCH_SIZE = 4096
EMBEDDING_DIM = 16
HIDDEN_UNITS = [400, 400, 400]
NUM_CROSSES = 3
LEARNING_RATE = 1e-3
SEED = 2024
NARROW = EMBEDDING_DIM * len(CATEGORICAL) + len(NUMERIC)  # 429 inputs of MLP and crosses: numbers come as they are
WIDE = EMBEDDING_DIM * (len(CATEGORICAL) + len(NUMERIC))  # 624: each number has a vector, as each id has


def arguments(*, widths: list[int]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, help="a folder that make_data.py wrote: x1, x16")
    parser.add_argument("--model", choices=["dcn_v2", "deepfm"], default="dcn_v2")
    parser.add_argument("--width", type=int, choices=widths, default=widths[0], help="of what MLP and crosses read")
    parser.add_argument("--steps", type=int, default=60)
    return parser.parse_args()


def table_rows(folder: Path) -> list[int]:
    """Rows of each categorical feature's table."""
    return json.loads((folder / "tables.json").read_text(encoding="utf-8"))


def load(folder: Path, num_rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers float32 (N, 13), ids int32 (N, 26) and labels float32 (N,) of the first rows."""
    with np.load(folder / "ids.npz") as columns:
        numbers = np.stack([columns[name][:num_rows] for name in NUMERIC], axis=1)
        ids = np.stack([columns[name][:num_rows] for name in CATEGORICAL], axis=1)
        return numbers, ids, columns[LABEL][:num_rows]


class StepClock:
    """Call `tick` after each training step. The first third of the steps, at most 20, warms up and does not count."""

    def __init__(self):
        self.ticks: list[float] = []

    def tick(self):
        self.ticks.append(time.perf_counter())

    def figures(self) -> dict:
        warm_up = min(20, len(self.ticks) // 3)
        seconds = np.diff(self.ticks[warm_up:])
        return {"step_ms": 1000 * float(np.median(seconds)), "rows_per_s": BATCH_SIZE / float(seconds.mean())}


def report(**found):
    """Prints what was measured; the last line of a script."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"\nRESULT {json.dumps({**found, 'peak_rss_bytes': peak})}", flush=True)
