"""What a mixture of experts costs: a training step of MMoE beside one of a Shared-Bottom of equal FLOPs, in turns.

    python scripts/bench_mmoe.py [--rounds 5] [--experts 8] [--units 64] [--precision float32]

Two tasks, batches of 4,096 rows of 26 categories and 13 numbers, width 16, towers of one layer. The bottom is as wide
as makes the multiplications of both models' dense parts equal. Prints the median milliseconds of both and the median,
lowest and highest ratio of a round.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RECTRAIN = Path(sys.executable).parent / "rectrain"
INPUTS, TASKS, TOWER = 26 * 16 + 13, 2, 64


def main(experts: int, units: int, precision: str, rounds: int):
    width = equal_width(experts, units)
    mmoe = ["model=mmoe", f"model.num_experts={experts}", f"model.expert_units=[{units}]"]
    bottom = ["model=shared_bottom", f"model.hidden_units=[{width}]"]
    times = [
        tuple(step_ms([*model, f"bench.precision={precision}"]) for model in (mmoe, bottom)) for _ in range(rounds)
    ]
    ratios = [ours / theirs for ours, theirs in times]
    print(f"mmoe, {experts} experts of {units}: {statistics.median(t for t, _ in times):.1f} ms a step")
    print(f"shared_bottom, {width} wide: {statistics.median(t for _, t in times):.1f} ms a step")
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) over {rounds} rounds")


def equal_width(experts: int, units: int) -> int:
    """Width of the bottom whose products, with those of its towers, are as many as the mixture's."""
    of_experts = INPUTS * experts * units
    of_gates = TASKS * experts * (INPUTS + units)
    of_towers = TASKS * TOWER * units
    return round((of_experts + of_gates + of_towers) / (INPUTS + TASKS * TOWER))


def step_ms(model: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "found.json")
        shared = [f"model.tower_units=[{TOWER}]", f"bench.labels={TASKS}", "bench.steps=60", f"output={output}"]
        subprocess.run([RECTRAIN, "bench", *model, *shared], check=True, capture_output=True)
        return json.loads(output.read_text())["step_ms"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--experts", type=int, default=8)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--precision", default="float32")
    arguments = parser.parse_args()
    main(arguments.experts, arguments.units, arguments.precision, arguments.rounds)
