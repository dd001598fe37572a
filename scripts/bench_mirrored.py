"""What it costs to share a batch between two replicas of one CPU instead of giving it to one.

    python scripts/bench_mirrored.py [--model deepfm] [--rounds 5] [-- OVERRIDES]

Both do the same work on the same cores, so a ratio above 1 is what sharing costs: batches are cut, gradients joined,
and each replica moves its own copy of the weights. `rectrain bench` of one and of mirrored take turns, each time in a
process of its own; further overrides go to both. Prints the median step of each, and median, lowest and highest ratio.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MIRRORED = ["strategy=mirrored", "strategy.cpu_replicas=2"]
RECTRAIN = [sys.executable, "-c", "from rectrain.cli import main; main()", "bench"]


def main(model: str, rounds: int, overrides: list[str]):
    pairs = []
    for number in range(rounds):
        pairs.append([step_ms([f"model={model}", *strategy, *overrides]) for strategy in (["strategy=one"], MIRRORED)])
        print(f"round {number + 1}: one {pairs[-1][0]:.1f} ms, mirrored {pairs[-1][1]:.1f} ms", flush=True)
    one, mirrored = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratios = [theirs / ours for ours, theirs in pairs]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
    print(f"| {model} | {one:.1f} | {mirrored:.1f} | {spread} |")
    print(f"load of the last minute {os.getloadavg()[0]:.1f}")


def step_ms(overrides: list[str]) -> float:
    """Milliseconds of the median step, in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "bench.json"
        subprocess.run([*RECTRAIN, *overrides, f"output={output}"], check=True, stdout=subprocess.DEVNULL)
        return json.loads(output.read_text(encoding="utf-8"))["step_ms"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="deepfm")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    main(arguments.model, arguments.rounds, arguments.overrides)
