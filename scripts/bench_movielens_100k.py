"""Pooling and DIN on MovieLens-100k, paired row by row with the predictions of another framework.

    python scripts/bench_movielens_100k.py FOLDER THEIRS.npz [recipe ...]

FOLDER: MovieLens-100k with u.data, u.item and u.user. THEIRS.npz: test.raw_user, test.raw_item, test.ts and the
probabilities "<model>.<seed>.test" of the last tenth of the ratings by time, in any order. Trains
experiment=movielens_100k/<recipe> with three seeds and prints the table of docs/benchmarks.md.
"""

import gzip
import sys
from pathlib import Path

import numpy as np
from paired import HEADER, SEEDS, table_row, train

from rectrain.data.row_groups import read_rows, row_groups

THEIR_NAMES = {"pooled_dnn": "DNN", "din": "DIN", "din_softmax": "DIN_softmax_relu"}


def main(folder: str, theirs_file: str, recipes: list[str]):
    theirs_of = np.load(theirs_file)
    print(HEADER, flush=True)
    for name in recipes or THEIR_NAMES:
        recipe = [f"experiment=movielens_100k/{name}", f"data.files={folder}"]
        runs = []
        for seed in SEEDS:
            run, prepared, _ = train([*recipe, f"seed={seed}"], "test")
            ours, places = shared_rows(events_of_test(folder, prepared), theirs_of)
            runs.append({**run, **{key: run[key][ours] for key in ("labels", "probabilities")}})
        assert (theirs_of["test.label"][places] == runs[0]["labels"]).all()
        theirs = [theirs_of[f"{THEIR_NAMES[name]}.{seed}.test"][places] for seed in SEEDS]
        print(table_row(name, runs, theirs), flush=True)
    print(f"\n{len(places):,} rows in common")


def events_of_test(folder: str, prepared) -> np.ndarray:
    """(user, item, time) of the rows of the test split in the order of the file, int64 (N, 3)."""
    path = next(Path(folder).glob("u.data*"))
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        log = np.loadtxt(file, dtype=np.int64)
    first = min(read_rows(prepared.schema, group)["time"].min() for group in row_groups(prepared.shards("test")))
    return log[log[:, 3] >= first][:, [0, 1, 3]]


def shared_rows(events: np.ndarray, theirs_of) -> tuple[np.ndarray, np.ndarray]:
    """Places of the same rows in our test split and in theirs."""
    keys = zip(*(theirs_of[f"test.{name}"].tolist() for name in ("raw_user", "raw_item", "ts")), strict=True)
    place_of = {key: place for place, key in enumerate(keys)}
    found = [(i, place_of[key]) for i, key in enumerate(map(tuple, events.tolist())) if key in place_of]
    ours, places = np.array(found).T
    return ours, places


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
