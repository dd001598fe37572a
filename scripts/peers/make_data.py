"""Writes the data that every peer trains on: synthetic rows in Criteo's shape, the same at each call.

    python scripts/peers/make_data.py FOLDER [--scale 16]

Scale 1: FOLDER/x1, 1M rows of ids in tables of 995,043 rows, with labels that can be learned, and the same rows before
any preparation, FOLDER/raw/train.csv and .tsv (Criteo's own format). Larger scales: FOLDER/x<scale>, rows for 110
steps, tables that much larger, labels without meaning. `ids.npz` holds label and I1..I13 as float32, C1..C26 as int32
from 1 (0 is for padding); `tables.json` the rows of the 26 tables.

Letters: N rows, C categorical features, S size of one table.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from common import CATEGORICAL, LABEL, NUMERIC

# Values of each feature of Criteo_x4 (at least 10 occurrences), the large ones grown to 1M together.
NUM_VALUES = [1445, 553, 172000, 130000, 305, 17, 12000, 629, 4, 43000, 5130, 172000, 3175]
NUM_VALUES += [27, 11042, 164000, 11, 4559, 2002, 4, 170000, 17, 16, 58000, 81, 45000]
SEED = 20240
NUM_ROWS = 1_000_000
NUM_UNUSED_ROWS = 100_000  # drawn with the others and left out: a test split, while these rows had one
NUM_SCALED_ROWS = 110 * 4096
CLICK_RATE = 0.25
BLANK = ("C3", "C12", "C25")  # categories with blanks among the raw rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=int, default=1)
    arguments = parser.parse_args()
    write(arguments.folder, arguments.scale)


def write(folder: Path, scale: int):
    rng = np.random.default_rng(SEED)
    num_values = [n * scale if n > 1000 else n for n in NUM_VALUES]
    if scale == 1:
        numbers_N13, ids_NC = features(rng, NUM_ROWS + NUM_UNUSED_ROWS, num_values)
        labels_N = learnable_labels(rng, numbers_N13, ids_NC, num_values)
        write_raw(folder / "raw", rng, labels_N, numbers_N13, ids_NC)
    else:
        numbers_N13, ids_NC = features(rng, NUM_SCALED_ROWS, num_values)
        labels_N = (rng.random(NUM_SCALED_ROWS) < CLICK_RATE).astype(np.float32)
    columns = columns_of(labels_N[:NUM_ROWS], numbers_N13[:NUM_ROWS], ids_NC[:NUM_ROWS])
    (folder / f"x{scale}").mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"x{scale}/ids.npz", **columns)
    (folder / f"x{scale}/tables.json").write_text(json.dumps([n + 1 for n in num_values]), encoding="utf-8")


def features(rng: np.random.Generator, num_rows: int, num_values: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers float32 (N, 13) in [0, 1] and ids int32 (N, C)."""
    numbers_N13 = rng.beta(1.2, 3.0, size=(num_rows, len(NUMERIC))).astype(np.float32)
    return numbers_N13, np.stack([zipf_ids(rng, num_rows, n) for n in num_values], axis=1)


def zipf_ids(rng: np.random.Generator, num_rows: int, num_values: int) -> np.ndarray:
    """int32 (N,) in [1, num_values]: shares fall as 1 / (rank + 2)^1.05, and frequent ids lie all over the table."""
    shares_S = (np.arange(num_values, dtype=np.float64) + 2.0) ** -1.05
    cumulative_S = np.cumsum(shares_S)
    ranks_N = np.searchsorted(cumulative_S / cumulative_S[-1], rng.random(num_rows)).astype(np.int64)
    stride = 0
    while np.gcd(stride, num_values) != 1:  # then multiplying by it permutes the ranks
        stride = int(rng.integers(1, num_values)) | 1
    return ((np.minimum(ranks_N, num_values - 1) * stride + 7) % num_values + 1).astype(np.int32)


def learnable_labels(rng: np.random.Generator, numbers_N13, ids_NC, num_values: list[int]) -> np.ndarray:
    """float32 (N,): clicks of a factorization machine over the ids, plus the numbers, plus noise."""
    linear_N, pairs_N = planted_terms(rng, ids_NC, num_values)
    logits_N = linear_N + 1.2 * pairs_N + numbers_N13 @ rng.normal(0, 1.0, len(NUMERIC))
    logits_N += 0.8 * (numbers_N13[:, 0] > 0.4) * (numbers_N13[:, 3] < 0.2)
    logits_N += rng.logistic(0, 0.25, len(logits_N))
    return (rng.random(len(logits_N)) < with_click_rate(logits_N)).astype(np.float32)


def planted_terms(rng: np.random.Generator, ids_NC, num_values: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """First-order and pairwise terms (N,) of each row; every third feature says little."""
    width = 4
    linear_N = np.zeros(len(ids_NC))
    sums_NK = np.zeros((len(ids_NC), width), np.float32)
    squares_N = np.zeros(len(ids_NC), np.float32)
    for c, size in enumerate(num_values):
        weights_S = rng.normal(0, 0.05 if c % 3 == 0 else 0.28, size + 1)
        weights_S[rng.random(size + 1) < 0.3] = 0.0
        linear_N += weights_S[ids_NC[:, c]]
        vectors_SK = rng.normal(0, 0.16 if c % 2 else 0.05, (size + 1, width)).astype(np.float32)
        vectors_NK = vectors_SK[ids_NC[:, c]]
        sums_NK += vectors_NK
        squares_N += (vectors_NK * vectors_NK).sum(1)
    return linear_N, 0.5 * ((sums_NK * sums_NK).sum(1) - squares_N)


def with_click_rate(logits_N) -> np.ndarray:
    """Probabilities (N,) of the logits, shifted so that their mean is CLICK_RATE."""
    low, high = -10.0, 10.0
    for _ in range(50):
        shift = (low + high) / 2
        probabilities_N = 1 / (1 + np.exp(-(logits_N + shift)))
        low, high = (low, shift) if probabilities_N.mean() > CLICK_RATE else (shift, high)
    return probabilities_N


def columns_of(labels_N, numbers_N13, ids_NC) -> dict[str, np.ndarray]:
    names = [LABEL, *NUMERIC, *CATEGORICAL]
    return dict(zip(names, [labels_N, *numbers_N13.T, *ids_NC.T], strict=True))


def write_raw(folder: Path, rng: np.random.Generator, labels_N, numbers_N13, ids_NC):
    """Counts for numbers, eight hex digits for categories, blanks in both."""
    columns = {LABEL: pa.array(labels_N.astype(np.int8))}
    for i, name in enumerate(NUMERIC):
        counts_N = np.floor(np.expm1(numbers_N13[:, i].astype(np.float64) * (4 + i % 5))).astype(np.int64)
        columns[name] = pa.array(counts_N, mask=rng.random(len(counts_N)) < 0.05 + 0.03 * (i % 5))
    for c, name in enumerate(CATEGORICAL):
        blank_N = rng.random(len(ids_NC)) < 0.04 if name in BLANK else None
        columns[name] = pa.array(hex_digits(ids_NC[:, c], c), pa.string(), mask=blank_N)
    table = pa.table(columns).slice(0, NUM_ROWS)
    folder.mkdir(parents=True, exist_ok=True)
    for file, header, delimiter in (("train.csv", True, ","), ("train.tsv", False, "\t")):
        options = pyarrow.csv.WriteOptions(include_header=header, delimiter=delimiter, quoting_style="none")
        pyarrow.csv.write_csv(table, folder / file, options)


def hex_digits(ids_N, feature: int) -> np.ndarray:
    """object (N,): a text for each id, another one in each feature."""
    mixed_N = ids_N.astype(np.uint64) * np.uint64(2654435761) + np.uint64(feature) * np.uint64(40503001)
    mixed_N &= np.uint64(0xFFFFFFFF)
    mixed_N ^= mixed_N >> np.uint64(15)
    distinct, inverse_N = np.unique(mixed_N, return_inverse=True)
    return np.array([f"{value:08x}" for value in distinct.tolist()], dtype=object)[inverse_N]


if __name__ == "__main__":
    main()
