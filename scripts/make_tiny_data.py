"""Writes data/tiny: files of 200 rows whose formats, not whose contents, matter. Same bytes every time.

python scripts/make_tiny_data.py
"""

import csv
import json
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from rectrain.data import sample

TINY = Path(__file__).resolve().parent.parent / "data" / "tiny"
NUM_ROWS = 200
CITIES = ("Berlin", "Washington, DC", "Zürich", "Paris")
GENRES = ("unknown", "Action", "Comedy", "Drama", "Film-Noir")
OCCUPATIONS = ("artist", "other", "student", "writer")
TOPICS = ("news", "sport", "music", "travel", "food", "science")


def main() -> None:
    TINY.mkdir(parents=True, exist_ok=True)
    write_sample("criteo", TINY / "criteo_tiny.tsv")
    write_sample("avazu", TINY / "avazu_tiny.csv")
    write_visits(TINY / "visits_tiny.csv", np.random.default_rng(1))
    write_movielens_100k(TINY / "movielens_100k", np.random.default_rng(1))
    write_log_sample("movielens", "attention", TINY / "movielens_latest")
    write_log_sample("amazon", None, TINY / "amazon")
    write_log_sample("taobao", None, TINY / "taobao")


def write_sample(layout: str, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sample.write(layout, Path(folder) / path.name, rows=NUM_ROWS, seed=1)
        shutil.copyfile(Path(folder) / path.name, path)


def write_log_sample(layout: str, truth: str | None, target: Path) -> None:
    """A log with what lies beside it about the items that occur in it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / sample.place(layout, rows=NUM_ROWS, seed=1, truth=truth)
        sample.write(layout, path, rows=NUM_ROWS, seed=1, truth=truth)
        target.mkdir(exist_ok=True)
        shutil.copyfile(path, target / path.name)
        if layout == "movielens":
            rated = {line.split(",")[1] for line in path.read_text().splitlines()}
            movies = path.with_name("movies.csv").read_text().splitlines(keepends=True)
            (target / "movies.csv").write_text("".join(m for m in movies if m.split(",")[0] in {*rated, "movieId"}))
        if layout == "amazon":
            reviewed = {item for line in path.read_text().splitlines() for item in line.split()[1:]}
            name = "Sample_item2attributes.json"
            table = json.loads(path.with_name(name).read_text())
            kept = {item: attributes for item, attributes in table.items() if item in reviewed}
            (target / name).write_text(json.dumps(kept) + "\n")


def write_movielens_100k(target: Path, rng: np.random.Generator) -> None:
    """Latin-1 titles, a movie without genre, and rows that are not in the order of time, as in the archive."""
    target.mkdir(exist_ok=True)
    num_users, num_movies = 15, 40
    lines = {
        "u.genre": [f"{name}|{i}" for i, name in enumerate(GENRES)],
        "u.item": [movie(i, rng) for i in range(1, num_movies + 1)],
        "u.user": [user(i, rng) for i in range(1, num_users + 1)],
        "u.data": [
            f"{rng.integers(1, num_users + 1)}\t{rng.integers(1, num_movies + 1)}\t{rng.integers(1, 6)}\t{time}"
            for time in 880_000_000 + 600 * rng.permutation(NUM_ROWS)
        ],
    }
    for name, content in lines.items():
        (target / name).write_text("\n".join(content) + "\n", encoding="latin-1")


def movie(number: int, rng: np.random.Generator) -> str:
    year = rng.integers(1950, 1999)
    flags = [int(number == 1), *rng.integers(0, 2, len(GENRES) - 1) * (number > 1)]
    return f"{number}|Cinéma {number} ({year})|01-Jan-{year}||http://example.org/{number}|{'|'.join(map(str, flags))}"


def user(number: int, rng: np.random.Generator) -> str:
    age, gender, occupation = rng.integers(7, 74), rng.choice(["F", "M"]), rng.choice(OCCUPATIONS)
    return f"{number}|{age}|{gender}|{occupation}|{rng.integers(10_000, 99_999)}"


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
