"""A few rows in the layout of each published data set that configs/experiment/bars reads; their values mean nothing."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

ROWS = {"train": 400, "valid": 60, "test": 60}
FRAPPE = ["label", "user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city"]
MOVIELENS = ["label", "user_id", "item_id", "tag_id"]


def write(layout: str, folder: Path):
    """train.csv, valid.csv and test.csv as reczoo publishes them."""
    header, row = LAYOUTS[layout]
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in ROWS.items():
        rng = random.Random(f"{layout} {split}")
        lines = [",".join(header), *(",".join([str(i % 2), *row(rng)]) for i in range(count))]
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_libfm(columns: list[str], folder: Path):
    """train.libfm and so on: labels -1 and 1, ids numbered through all fields, all values 1."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in ROWS.items():
        rng = random.Random(split)
        lines = [" ".join(["1" if i % 2 else "-1", *(f"{v}:1" for v in ids(rng, columns))]) for i in range(count)]
        (folder / f"{split}.libfm").write_text("\n".join(lines) + "\n", encoding="utf-8")


def ids(rng: random.Random, columns: list[str]) -> Iterator[str]:
    """One id a field behind the label, each field counting on from the last."""
    return (str(20 * place + min(rng.randrange(20), rng.randrange(20))) for place in range(len(columns) - 1))


def _criteo_x1(rng: random.Random) -> Iterator[str]:
    """Numbers between 0 and 1, then ids from 14 on."""
    yield from (rng.choice(["0.0", "0.05", "0.004983", str(round(rng.random(), 6))]) for _ in range(13))
    yield from (str(14 + 20 * place + rng.randrange(20)) for place in range(26))


def _criteo_x4(rng: random.Random) -> Iterator[str]:
    """As the challenge has them: whole numbers and 8 hexadecimal digits, either of which may be missing."""
    for place in range(13):
        yield rng.choice(["", str(rng.choice([0, 1, 2, 5, 40, 1_382]) - 2 * (place == 1))])
    yield from (rng.choice(["", f"{rng.randrange(4) * 715_827_883:08x}"]) for _ in range(26))


LAYOUTS: dict[str, tuple[list[str], Callable[[random.Random], Iterator[str]]]] = {
    "criteo_x1": (["label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))], _criteo_x1),
    "criteo_x4": (["Label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))], _criteo_x4),
    "avazu_x1": (columns := ["label", *(f"feat_{i}" for i in range(1, 23))], lambda rng: ids(rng, columns)),
    "movielens_latest_x1": (MOVIELENS, lambda rng: ids(rng, MOVIELENS)),
    "frappe_x1": (FRAPPE, lambda rng: ids(rng, FRAPPE)),
}
