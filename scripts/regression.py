"""Trains every configs/experiment/tiny/*.yaml and holds its test AUC to the band of its `expect` section.

Of several tasks the AUC is what `expect.metric` says: the mean, or that of one.

    python scripts/regression.py [name ...]

Prints a table; exits with 1 if any run left its band or failed.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rectrain.config import TasksConfig, parse
from rectrain.run_dir import RunDir
from rectrain.schema import Schema
from rectrain.tasks import from_config
from rectrain.training.monitor import Monitor

EXPERIMENTS = Path(__file__).parents[1] / "configs/experiment/tiny"
RECTRAIN = Path(sys.executable).parent / "rectrain"
VERDICTS = {0: "ok", 3: "OUTSIDE THE BAND"}


def main(names: list[str]) -> int:
    print(f"{'experiment':18} {'test AUC':>9} {'expected':>17} {'seconds':>8}")
    failed = 0
    for name in names or sorted(p.stem for p in EXPERIMENTS.glob("*.yaml")):
        code, seconds, found = run(name)
        print(row(name, code, seconds, found), flush=True)
        failed += code != 0
    return int(failed > 0)


def run(name: str) -> tuple[int, float, dict]:
    """Exit code, wall seconds, and the `expect` section with the "found" value (empty where the run gave none)."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run_dir = RunDir(Path(folder) / "run")
        done = subprocess.run(
            [RECTRAIN, f"experiment=tiny/{name}", f"hydra.run.dir={run_dir.path}"],
            stdout=subprocess.DEVNULL,
            check=False,
        )
        seconds = time.perf_counter() - started
        return done.returncode, seconds, tested(run_dir) if run_dir.report.exists() else {}


def tested(run_dir: RunDir) -> dict:
    report = json.loads(run_dir.report.read_text(encoding="utf-8"))
    if not report["metrics"]:
        return {}
    expect = report["config"]["expect"]
    tasks = from_config(parse(TasksConfig, report["config"]["task"], "task"), Schema.read(run_dir.schema))
    found = Monitor(expect["metric"], tasks, "expect.metric").value(report["metrics"]["test"], "test")
    return {**expect, "found": found}


def row(name: str, code: int, seconds: float, found: dict) -> str:
    if not found:
        return f"{name:18} {'–':>9} {'':>17} {seconds:8.1f}  FAILED (exit code {code})"
    band = f"{found['value']:.4f} +- {found['tolerance']:.4f}"
    return f"{name:18} {found['found']:9.4f} {band:>17} {seconds:8.1f}  {VERDICTS.get(code, 'FAILED')}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
