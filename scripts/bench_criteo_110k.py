"""The seven models on 110,000 real Criteo rows, paired row by row with the predictions of another framework.

    python scripts/bench_criteo_110k.py ROWS THEIRS.npz [model ...]

ROWS: the raw rows (train_110k.tsv.gz). THEIRS.npz: probabilities of rows 99,000-109,999 in file order, one array
"<model>.<seed>" a run. Trains experiment=criteo_110k/<model> with three seeds and prints the table of
docs/benchmarks.md (scripts/paired.py says what its intervals are).
"""

import sys

import numpy as np
from paired import HEADER, SEEDS, table_row, train

THEIR_NAMES = {
    "lr": "LR",
    "fm": "FM_L2_1e-3",
    "wide_deep": "WideDeep",
    "deepfm": "DeepFM",
    "dcn": "DCN",
    "dcn_v2": "DCNv2",
    "autoint": "AutoInt",
}


def main(rows: str, theirs_file: str, models: list[str]):
    theirs_of = np.load(theirs_file)
    print(HEADER, flush=True)
    for model in models or THEIR_NAMES:
        recipe = [f"experiment=criteo_110k/{model}", f"data.files={rows}"]
        runs = [train([*recipe, f"seed={seed}"], "valid")[0] for seed in SEEDS]
        theirs = [theirs_of[name] for name in theirs_of if name.rpartition(".")[0] == THEIR_NAMES[model]]
        print(table_row(model, runs, theirs), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"usage: make bench-criteo ROWS=train_110k.tsv.gz THEIRS=predictions.npz\n\n{__doc__}")
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
