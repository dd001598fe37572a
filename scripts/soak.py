"""A long run in small: does memory grow, do file handles leak, does training slow down?

    python scripts/soak.py [--steps 200000] [--every 5000]

Trains a small model on the built-in sample for that many steps, with an evaluation and a checkpoint after each `every`,
and looks at the process from outside. Prints one line a tenth of the way and a verdict: the slope of the resident
memory behind the first fifth (least squares), the most and fewest open files, and the training speed of the last fifth
beside that of the second one. Exits with 1 where memory grows by more than 2 MiB in 100,000 steps, more than 2 more
files are open in the last fifth than in the second one, or speed falls by more than 3 %.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RECIPE = (
    *("model=deepfm", "model.embedding_dim=4", "model.hidden_units=[16]", "data=criteo", "data.source=sample"),
    *("data.sample.rows=20000", "trainer.batch_size=64", "trainer.epochs=100000", "trainer.patience=null"),
    *("trainer.steps_per_call=500", "trainer.report_splits=[]", "trainer.save_every_s=10"),
)
MIB = 2**20


def main(steps: int, every: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        sizes = [f"trainer.max_steps={steps}", f"trainer.eval_every_steps={every}"]
        paths = [f"data.prepared_dir={folder}/prepared", f"hydra.run.dir={folder}/run"]
        code = "from rectrain.cli import main; main()"
        command = [sys.executable, "-c", code, *RECIPE, *sizes, *paths]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        seen = watch(process, Path(folder) / "run/metrics.jsonl", steps)
        if process.returncode:
            return process.returncode
    return verdict(np.array(seen))


def watch(process: subprocess.Popen, metrics: Path, steps: int) -> list[tuple]:
    """(step, seconds of training, resident bytes, open files) at each evaluation."""
    seen: list[tuple] = []
    shown = 0
    while process.poll() is None:
        time.sleep(0.2)
        lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
        for line in lines[len(seen) :]:
            entry = json.loads(line)
            seen.append((entry["step"], entry["seconds"], *of_process(process.pid)))
            if 10 * seen[-1][0] // steps > shown:
                shown = 10 * seen[-1][0] // steps
                step, seconds, memory, files = seen[-1]
                print(
                    f"{step:>9,} steps  {memory / MIB:,.0f} MiB  {files} files  {step / seconds:,.0f} steps/s",
                    flush=True,
                )
    return [row for row in seen if row[2]]


def of_process(pid: int) -> tuple[int, int]:
    """Resident bytes and open files; zeros where it is over."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        return 1024 * resident, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except (OSError, StopIteration):
        return 0, 0


def verdict(seen: np.ndarray) -> int:
    step, seconds, memory, files = seen.T
    fifth = len(step) // 5
    slope = np.polyfit(step[fifth:], memory[fifth:], 1)[0] * 100_000 / MIB
    speed = np.diff(step) / np.diff(seconds)
    early, late = np.median(speed[fifth : 2 * fifth]), np.median(speed[-fifth:])
    more_files = np.median(files[-fifth:]) - np.median(files[fifth : 2 * fifth])
    print(f"memory {slope:+.2f} MiB in 100,000 steps; {files.min():.0f} to {files.max():.0f} files open")
    print(f"speed {late:,.0f} steps/s at the end, {late / early:.3f} of {early:,.0f} at the start")
    return int(slope > 2 or more_files > 2 or late < 0.97 * early)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--every", type=int, default=5_000)
    arguments = parser.parse_args()
    sys.exit(main(arguments.steps, arguments.every))
