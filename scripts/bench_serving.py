"""What prediction costs: rows a second beside training, and how long an exported model takes to answer.

    python scripts/bench_serving.py ROWS [--only predict latency]

ROWS: a raw file in Criteo's layout, some 1,000,000 rows for `predict`. Prints the tables of docs/benchmarks.md.

predict: `rectrain train` and `rectrain predict` of the same rows with the same batch of 4,096, each a process of its
own. latency: the SavedModel in a process that has TensorFlow alone, called with 1 and with 100 rows, one call after the
other; and the model alone, on packed ids, in a process of its own.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PREDICTED = ("lr", "fm", "dcn_v2")
LATENCIES = {
    "lr": ["data=criteo"],
    "fm": ["data=criteo"],
    "dcn_v2": ["data=criteo"],
    "din": ["data=movielens"],
    "sim_hard": ["data=movielens"],
    "mmoe": ["data=census_income"],
}
SIZES, NUM_CALLS = (1, 100), "2000"
# Median and 99th percentile of a call, ms.
TIMED = """
import json, sys, time
import numpy as np, tensorflow as tf
calls = int(sys.argv[2])
def timed(call):
    for _ in range(100):
        call()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return [1000 * float(np.quantile(times, q)) for q in (0.5, 0.99)]
"""
# What answers, with nothing of ours.
ANSWER = (
    TIMED
    + """
folder = sys.argv[1]
served = tf.saved_model.load(f"{folder}/saved_model/1").signatures["serving_default"]
request = json.load(open(f"{folder}/request.json"))["inputs"]
spec = served.structured_input_signature[1]
found = {}
for size in map(int, sys.argv[3:]):
    columns = {name: tf.constant([request[name][0]] * size, s.dtype) for name, s in spec.items()}
    found[size] = timed(lambda: [value.numpy() for value in served(**columns).values()])
print(json.dumps(found))
"""
)


# The same calls of the model alone.
ALONE = (
    TIMED
    + """
from pathlib import Path
from rectrain.training.restore import restore_run
run = restore_run(Path(sys.argv[1]), "best")
batch = next(iter(run.batches("valid")))
found = {}
for size in map(int, sys.argv[3:]):
    rows = {name: column[:1].numpy().repeat(size, axis=0) for name, column in batch.items()}
    inputs = {name: tf.constant(rows[name]) for name in run.steps.model.input}
    found[size] = timed(lambda: [value.numpy() for value in run.steps.score(inputs).values()])
print(json.dumps(found))
"""
)


def main(rows: str, only: list[str]):
    with tempfile.TemporaryDirectory() as scratch:
        if "predict" in only:
            predict(rows, Path(scratch))
        if "latency" in only:
            latency(Path(scratch))


def predict(rows: str, scratch: Path):
    print("| model | training, rows/s | predict, raw rows/s | ratio |\n|---|---|---|---|", flush=True)
    for model in PREDICTED:
        run = scratch / model
        sizes = ["trainer.batch_size=4096", "trainer.eval_batch_size=4096", "trainer.epochs=1"]
        train(run, f"model={model}", "data=criteo", f"data.files={rows}", *sizes)
        trained = json.loads((run / "report.json").read_text(encoding="utf-8"))["throughput"]["train_rows_per_s"]
        told = rectrain("predict", f"run={run}", f"input={rows}", f"output={scratch / 'scores.parquet'}")
        predicted = float(re.findall(r"([\d,]+) rows/s\n", told)[-1].replace(",", ""))
        print(f"| {model} | {trained:,.0f} | {predicted:,.0f} | {predicted / trained:.2f} |", flush=True)


def latency(scratch: Path):
    """Median and 99th percentile, ms."""
    head = [f"{what}, {size}" for what in ("exported", "model alone") for size in SIZES]
    print(f"| model | {' | '.join(head)} |\n|---|{'---|' * len(head)}", flush=True)
    for model, data in LATENCIES.items():
        run = scratch / f"latency-{model}"
        train(run, f"model={model}", *data, "trainer.epochs=1", "trainer.max_steps=50")
        rectrain("export", f"run={run}")
        asked = [NUM_CALLS, *map(str, SIZES)]
        told = [python(ANSWER, str(run / "export"), *asked), python(ALONE, str(run), *asked)]
        found = [json.loads(text.splitlines()[-1]) for text in told]
        cells = ["{:.2f}, {:.2f}".format(*of[str(size)]) for of in found for size in SIZES]
        print(f"| {model} | {' | '.join(cells)} |", flush=True)


def train(run: Path, *overrides: str):
    rectrain(
        *overrides, "trainer.report_splits=[valid]", f"hydra.run.dir={run}", f"data.prepared_dir={run.parent}/prepared"
    )


def rectrain(*words: str) -> str:
    return python("from rectrain.cli import main; main()", *words)


def python(code: str, *words: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{words}: {done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows")
    parser.add_argument("--only", nargs="+", choices=("predict", "latency"), default=["predict", "latency"])
    arguments = parser.parse_args()
    main(arguments.rows, arguments.only)
