"""Runs of one config with several seeds against the figure that its `expect` section holds.

    python scripts/verdict.py FOLDER

FOLDER: of a sweep over seeds (FOLDER/*/report.json). Prints a line a seed, the mean, and the verdict; exits with 0
where the mean lies within the tolerance, else with 3.
"""

import json
import math
import sys
from pathlib import Path
from statistics import mean, stdev


def main(folder: str) -> int:
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).glob("*/report.json"))]
    done = [report for report in reports if report["status"] == "done"]
    if not done:
        print(f"{folder}: no run is done there; rectrain's messages say why", file=sys.stderr)
        return 2
    if any(report["config"]["expect"] is None for report in done):
        print(f"{folder}: expect=null: there is no figure to compare with", file=sys.stderr)
        return 2
    lines, code = verdict(done)
    print("", *lines, sep="\n")
    return code


def verdict(reports: list[dict]) -> tuple[list[str], int]:
    """What to print, and the exit code."""
    aucs = [found(report, "auc") for report in reports]
    lines = [f"{'seed':>9}  {'test AUC':>8}  {'log loss':>8}  {'parameters':>11}"]
    for report, auc in zip(reports, aucs, strict=True):
        total = report["parameters"]["total"]
        lines.append(f"{report['seed']:9}  {auc:8.4f}  {found(report, 'logloss'):8.4f}  {total:11,}")
    spread = f", standard deviation {stdev(aucs):.4f}" if len(aucs) > 1 else ""
    lines.append(f"{'mean':>9}  {mean(aucs):8.4f}  {mean(found(r, 'logloss') for r in reports):8.4f}{spread}")
    expect = reports[0]["config"]["expect"]
    difference = mean(aucs) - expect["value"]
    same = math.fabs(difference) <= expect["tolerance"]
    told = "reproduced" if same else "NOT reproduced: better" if difference > 0 else "NOT reproduced: worse"
    lines.append(
        f"published  {expect['value']:8.4f}  {told} ({difference:+.4f}; within {expect['tolerance']:g} is the same)"
    )
    return lines, 0 if same else 3


def found(report: dict, metric: str) -> float:
    """Of the only task, on the test split."""
    (task,) = report["metrics"]["test"].values()
    return task[metric]["value"]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
