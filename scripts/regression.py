"""Trains every configs/experiment/tiny/*.yaml and holds its test AUC to the band of its `expect` section.

    python scripts/regression.py [name ...]

Prints a table; exits with 1 if any run left its band or failed.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXPERIMENTS = Path(__file__).parents[1] / "configs/experiment/tiny"
RECTRAIN = Path(sys.executable).parent / "rectrain"
VERDICTS = {0: "ok", 3: "OUTSIDE THE BAND"}


def main(names: list[str]) -> int:
    print(f"{'experiment':18} {'test AUC':>9} {'expected':>17} {'seconds':>8}")
    failed = 0
    for name in names or sorted(p.stem for p in EXPERIMENTS.glob("*.yaml")):
        code, seconds, report = run(name)
        print(row(name, code, seconds, report), flush=True)
        failed += code != 0
    return int(failed > 0)


def run(name: str) -> tuple[int, float, dict]:
    """Exit code, wall seconds, and the report (empty where the run wrote none)."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [RECTRAIN, f"experiment=tiny/{name}", f"hydra.run.dir={folder}/run"],
            stdout=subprocess.DEVNULL,
            check=False,
        )
        report = Path(folder) / "run/report.json"
        found = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    return done.returncode, time.perf_counter() - started, found


def row(name: str, code: int, seconds: float, report: dict) -> str:
    if not report.get("metrics"):
        return f"{name:18} {'–':>9} {'':>17} {seconds:8.1f}  FAILED (exit code {code})"
    expect = report["config"]["expect"]
    auc = next(iter(report["metrics"]["test"].values()))["auc"]["value"]
    band = f"{expect['value']:.4f} +- {expect['tolerance']:.4f}"
    return f"{name:18} {auc:9.4f} {band:>17} {seconds:8.1f}  {VERDICTS.get(code, 'FAILED')}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
