"""Models of two tasks on Census-Income beside networks of one task and the predictions of another framework.

    python scripts/bench_census.py FOLDER_OR_FILE THEIRS.npz

FOLDER_OR_FILE: 70,000 rows of Census-Income. THEIRS.npz: probabilities "<model>.<seed>.<task>" of the last 10,000 rows
in file order. Trains experiment=census_income/<recipe> with three seeds on each of two splits and prints two tables of
docs/benchmarks.md: trained on 60,000 rows, stopped and scored on the last 10,000, paired row by row with THEIRS; and
trained on 50,000 rows, stopped on the next 10,000 and scored on the last 10,000, which have had no say.
"""

import sys

import numpy as np
from paired import SEEDS, difference, interval, mean_and_deviation, train

from rectrain.evaluation.metrics import auc

RECIPES = ("shared_bottom", "mmoe", "ple", "single_income", "single_never_married")
THEIR_NAMES = {"shared_bottom": "ShareBottom", "mmoe": "MMoE"}
TASKS = ("income", "never_married")
THREE_SPLITS = ["data.split.train=0.714286", "data.split.valid=0.142857", "data.split.test=0.142857"]
COLUMNS = ["model", "parameters", *(f"{task} AUC" for task in TASKS)]


def main(data: str, theirs_file: str):
    theirs = np.load(theirs_file)
    print_line([*COLUMNS, *(f"{task} difference" for task in TASKS), "best epoch"])
    print_line(["---"] * (len(COLUMNS) + len(TASKS) + 1))
    for recipe in RECIPES:
        runs = trained(recipe, "valid", [f"data.files={data}"])
        print_line([*cells(recipe, runs), *(paired_cell(recipe, task, runs, theirs) for task in TASKS), epochs(runs)])
    print()
    print_line([*COLUMNS, "best epoch"])
    print_line(["---"] * (len(COLUMNS) + 1))
    for recipe in RECIPES:
        runs = trained(recipe, "test", [f"data.files={data}", *THREE_SPLITS])
        print_line([*cells(recipe, runs), epochs(runs)])


def print_line(found: list[str]):
    print(f"| {' | '.join(found)} |", flush=True)


def trained(recipe: str, split: str, overrides: list[str]) -> list[dict]:
    """A run a seed: {"parameters", "epoch", "tasks": {task: (labels, probabilities), float (N,) each}}."""
    runs = []
    for seed in SEEDS:
        run, prepared, scored = train([f"experiment=census_income/{recipe}", *overrides, f"seed={seed}"], split)
        labels = dict(zip(prepared.schema.labels, scored.labels.T, strict=True))
        runs.append({**run, "tasks": {task: (labels[task], p) for task, p in scored.probabilities.items()}})
    return runs


def of_task(task: str, runs: list[dict]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Labels, and the probabilities of each run."""
    return runs[0]["tasks"][task][0], [run["tasks"][task][1] for run in runs]


def cells(recipe: str, runs: list[dict]) -> list[str]:
    return [recipe, f"{runs[0]['parameters']:,}", *(auc_cell(task, runs) for task in TASKS)]


def auc_cell(task: str, runs: list[dict]) -> str:
    if task not in runs[0]["tasks"]:
        return "–"
    labels, ours = of_task(task, runs)
    return f"{mean_and_deviation(auc, labels, ours)} {interval(auc, labels, ours)}"


def paired_cell(recipe: str, task: str, runs: list[dict], theirs) -> str:
    if recipe not in THEIR_NAMES:
        return "–"
    labels, ours = of_task(task, runs)
    return difference(auc, labels, ours, [theirs[f"{THEIR_NAMES[recipe]}.{seed}.{task}"] for seed in SEEDS])


def epochs(runs: list[dict]) -> str:
    return ", ".join(f"{run['epoch']:.0f}" for run in runs)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
