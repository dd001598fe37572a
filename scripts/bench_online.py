"""Rows learned one by one: speed beside Vowpal Wabbit, sparsity by L1, memory by counting values first.

    python scripts/bench_online.py ROWS [--rounds 3] [--only speed curve counts]

ROWS: raw rows in Criteo's layout. Needs the module vowpalwabbit for the first part. Prints the tables of
docs/benchmarks.md, section "Online learning".
"""

import argparse
import gzip
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from rectrain.evaluation.metrics import auc, logloss
from rectrain.online.features import HashedFeatures
from rectrain.online.linear import LinearLearner
from rectrain.online.quarantine import Quarantine
from rectrain.online.stream import RawStream
from rectrain.sections import online_config
from rectrain.tasks import from_config

ALPHA, BETA, LAMBDA1 = 0.1, 1.0, 1.0
NUM_REPEATS = 8
FTRL = [f"optimizer.alpha={ALPHA}", f"optimizer.beta={BETA}"]
STRENGTHS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
RATES = {"inverse_sqrt": (0.3, 1.0, 3.0, 10.0), "per_coordinate": (0.01, 0.03, 0.1, 0.3)}
PULLS = (0.0, 3e-3, 1e-2, 3e-2, 1e-1, 2e-1, 3e-1, 5e-1)
MIN_COUNTS = (1, 2, 3, 5)
BYTES = 12  # a coordinate's w, z and n
NUM_NUMERIC = 13


def main(rows: str, rounds: int, only: list[str]):
    if "speed" in only:
        speed(rows, rounds)
    if "curve" in only or "counts" in only:
        stream = Stream(rows)
        print(f"\n{stream.num_rows:,} rows, {stream.num_values:,} values in use\n", flush=True)
        if "curve" in only:
            curve(stream)
        if "counts" in only:
            counts(stream)


def vw_arguments(alpha: float, beta: float, lambda1: float, lambda2: float) -> str:
    hyperparameters = f"--ftrl_alpha {alpha} --ftrl_beta {beta} --l1 {lambda1} --l2 {lambda2}"
    return f"--ftrl {hyperparameters} --loss_function logistic -b 22 --hash all"


def vw_lines(rows: Path) -> Iterator[str]:
    """Criteo's rows as Vowpal Wabbit reads them: a token a column, also of a missing value, as our hashing has it."""
    with gzip.open(rows, "rt") if rows.suffix == ".gz" else rows.open() as file:
        for line in file:
            label, *cells = line.rstrip("\n").split("\t")
            tokens = [_log_square(cell) for cell in cells[:NUM_NUMERIC]] + cells[NUM_NUMERIC:]
            features = " ".join(f"|{column} {token or 'missing'}" for column, token in enumerate(tokens))
            yield f"{2 * int(label) - 1} {features}"


def _log_square(cell: str) -> str:
    return str(math.floor(math.log(int(cell)) ** 2)) if cell and int(cell) > 2 else cell


def speed(rows: str, rounds: int):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        num_rows = write_repeated(Path(rows), folder)
        runs = {
            "rectrain, raw TSV": lambda: ours(folder, "raw"),
            "rectrain, prepared": lambda: ours(folder, "prepared"),
            "Vowpal Wabbit, its text": lambda: theirs(folder, num_rows, ""),
            "Vowpal Wabbit, its cache": lambda: theirs(folder, num_rows, f"--cache_file {folder}/rows.cache"),
        }
        for run in runs.values():
            run()  # prepares, compiles, writes the cache
        found: dict[str, list[float]] = {label: [] for label in runs}
        for i in range(rounds):
            for label in list(runs)[:: -1 if i % 2 else 1]:
                found[label].append(runs[label]())
    print(f"{num_rows:,} rows, {rounds} rounds, thousand rows a second\n")
    print("| | median | [min, max] | over its text | over its cache |\n|---|---|---|---|---|")
    text, cache = (found[f"Vowpal Wabbit, its {kind}"] for kind in ("text", "cache"))
    for label, rates in found.items():
        span = f"[{min(rates) / 1e3:.0f}, {max(rates) / 1e3:.0f}]"
        cells = [f"{statistics.median(rates) / 1e3:.0f}", span, ratio(rates, text), ratio(rates, cache)]
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


def ratio(rates: list[float], others: list[float]) -> str:
    """Median of the ratios within a round."""
    return f"{statistics.median(a / b for a, b in zip(rates, others, strict=True)):.2f}"


def write_repeated(rows: Path, folder: Path) -> int:
    """rows.tsv and rows.vw, the rows several times after one another; their number."""
    text = rows.read_bytes()
    text = gzip.decompress(text) if rows.suffix == ".gz" else text
    lines = "".join(f"{line}\n" for line in vw_lines(rows))
    with (folder / "rows.tsv").open("wb") as raw, (folder / "rows.vw").open("w") as theirs_file:
        for _ in range(NUM_REPEATS):
            raw.write(text)
            theirs_file.write(lines)
    return NUM_REPEATS * lines.count("\n")


def ours(folder: Path, source: str) -> float:
    """Rows a second within the loop."""
    run = folder / source
    shutil.rmtree(run, ignore_errors=True)
    keys = [f"data.files={folder}/rows.tsv", f"data.prepared_dir={folder}/prepared", f"hydra.run.dir={run}"]
    command = [
        str(Path(sys.executable).with_name("rectrain")),
        "online",
        f"online.source={source}",
        "data=criteo",
        *FTRL,
        *keys,
    ]
    subprocess.run([*command, f"optimizer.lambda1={LAMBDA1}"], check=True, capture_output=True)
    return json.loads((run / "report.json").read_text(encoding="utf-8"))["throughput"]["train_rows_per_s"]


def theirs(folder: Path, num_rows: int, cache: str) -> float:
    """Rows a second, of the whole run: it opens, reads and learns in C++ while the object is made."""
    from vowpalwabbit import Workspace

    started = time.monotonic()
    workspace = Workspace(f"{vw_arguments(ALPHA, BETA, LAMBDA1, 0.0)} --quiet -d {folder}/rows.vw {cache}")
    seconds = time.monotonic() - started
    assert workspace.get_weighted_examples() == num_rows, workspace.get_weighted_examples()
    workspace.finish()
    return num_rows / seconds


class Stream:
    """The rows of a raw file, hashed once, for many learners."""

    def __init__(self, rows: str):
        self._files = f"data.files={rows}"
        config = self.config([])
        features = HashedFeatures(config.data, 2**config.online.bits)
        self.schema = features.schema()
        with tempfile.TemporaryDirectory() as folder:
            stream = RawStream(config.data, features, {}, Quarantine(0, Path(folder) / "none", {}), None)
            parts = [part.rows for part in stream.parts() if len(part.origins)]
        self.rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        self.num_rows, self.num_values = len(self.rows["labels"]), len(np.unique(self.rows["categorical"]))

    def config(self, overrides: list[str]):
        with initialize_config_module("rectrain.configs", version_base="1.3"):
            raw = OmegaConf.to_container(compose("online", [self._files, *overrides]), resolve=True)
        return online_config(raw)

    def learn(self, *overrides: str) -> dict:
        """Sparsity, and AUC and log loss of each row scored before it was learned from."""
        config = self.config(list(overrides))
        (task,) = from_config(config.task, self.schema)
        learner = LinearLearner(config, self.schema, task)
        labels, scores = self.rows["labels"][:, 0], learner.learn(self.rows)[task.name]
        found = {"auc": auc(labels, scores).value, "logloss": logloss(labels, scores).value}
        return {**learner.sparsity(), **found}


def curve(stream: Stream):
    print("| learner | lambda1 | non-zero | of those in use | AUC | log loss |\n|---|---|---|---|---|---|")
    for strength in STRENGTHS:
        found = stream.learn(*FTRL, f"optimizer.lambda1={strength}")
        curve_line(stream, f"FTRL, alpha {ALPHA:g}, beta {BETA:g}", strength, found)
    for rates, candidates in RATES.items():
        for strength in PULLS:
            overrides = ["optimizer=sgd", f"optimizer.rates={rates}", f"optimizer.lambda1={strength}"]
            tried = {rate: stream.learn(*overrides, f"optimizer.learning_rate={rate}") for rate in candidates}
            best = min(tried, key=lambda rate: tried[rate]["logloss"])
            curve_line(stream, f"OGD {rates}, rate {best:g}", strength, tried[best])


def curve_line(stream: Stream, learner: str, strength: float, found: dict):
    kept = found["nonzero_weights"]
    cells = [learner, f"{strength:g}", f"{kept:,}", f"{kept / stream.num_values:.2%}", *figures(found)]
    print(f"| {' | '.join(cells)} |", flush=True)


def counts(stream: Stream):
    print("\n| min_count | lambda1 | coordinates in use | x 12 bytes, MB | filter, MB | non-zero | AUC | log loss |")
    print("|---|---|---|---|---|---|---|---|")
    for strength in (0.0, LAMBDA1):
        for least in MIN_COUNTS:
            found = stream.learn(*FTRL, f"optimizer.lambda1={strength}", f"online.min_count={least}")
            used = found["coordinates_in_use"]
            sizes = [f"{size / 1e6:.2f}" for size in (used * BYTES, found["filter_bytes"])]
            cells = [str(least), f"{strength:g}", f"{used:,}", *sizes, f"{found['nonzero_weights']:,}", *figures(found)]
            print(f"| {' | '.join(cells)} |", flush=True)


def figures(found: dict) -> list[str]:
    return [f"{found['auc']:.4f}", f"{found['logloss']:.4f}"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=["speed", "curve", "counts"])
    arguments = parser.parse_args()
    main(arguments.rows, arguments.rounds, arguments.only)
