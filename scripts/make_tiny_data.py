"""Writes data/tiny: three files of 200 rows whose formats, not whose contents, matter. Same bytes every time.

python scripts/make_tiny_data.py
"""

import csv
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from rectrain.data import sample

TINY = Path(__file__).resolve().parent.parent / "data" / "tiny"
NUM_ROWS = 200
CITIES = ("Berlin", "Washington, DC", "Zürich", "Paris")
TOPICS = ("news", "sport", "music", "travel", "food", "science")


def main() -> None:
    TINY.mkdir(parents=True, exist_ok=True)
    write_sample("criteo", TINY / "criteo_tiny.tsv")
    write_sample("avazu", TINY / "avazu_tiny.csv")
    write_visits(TINY / "visits_tiny.csv", np.random.default_rng(1))


def write_sample(layout: str, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sample.write(layout, Path(folder) / path.name, rows=NUM_ROWS, seed=1)
        shutil.copyfile(Path(folder) / path.name, path)


def write_visits(path: Path, rng: np.random.Generator) -> None:
    """Other names than Criteo's and Avazu's; a quoted comma, a letter outside ASCII, blanks, a list, an ISO time."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["bought", "visitor", "seen_at", "city", "price", "topics", "importance"])
        writer.writerows(visit(row, rng) for row in range(NUM_ROWS))


def visit(row: int, rng: np.random.Generator) -> list:
    bought = int(rng.random() < 0.3)
    visitor = f"v{rng.integers(25):02}"
    seen_at = datetime(2024, 5, 1, tzinfo=UTC) + timedelta(minutes=37 * row)
    price = f"{rng.lognormal(2, 1):.2f}" if rng.random() < 0.9 else ""
    topics = rng.choice(TOPICS, size=rng.integers(0, 4), replace=False)
    importance = rng.choice([0.5, 1.0, 2.0])
    return [bought, visitor, seen_at.isoformat(), rng.choice(CITIES), price, "|".join(topics), importance]


if __name__ == "__main__":
    main()
