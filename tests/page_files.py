"""The files that a reader of a page has in the folder: small ones, in the layout that the page speaks of."""

import gzip
import random
import shutil
import tempfile
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet

from rectrain.data import sample
from tests import miniatures
from tests.pages import ROOT, TEXTS, write_yaml


def criteo(path, *, rows=400, seed=1):
    """A file of raw rows in Criteo's layout, gzipped where its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.with_name(path.name.removesuffix(".gz"))
    with tempfile.TemporaryDirectory() as folder:
        sample.write("criteo", Path(folder) / "rows.tsv", rows=rows, seed=seed)
        text = (Path(folder) / "rows.tsv").read_bytes()
    path.write_bytes(text if plain == path else gzip.compress(text))


def days(folder, ending):
    for day in (1, 2):
        criteo(folder / f"raw/day{day}.tsv{ending}", seed=day)


def csv(path, line, *, rows=300, header=None):
    """Lines that a function makes of a random generator."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = random.Random(path.name)
    path.write_text("".join(f"{text}\n" for text in [*([header] if header else []), *(line(rng) for _ in range(rows))]))


def page_view(rng):
    return f"{rng.randrange(2)}\tp{rng.randrange(9)}\t{rng.choice(['1', '2', 'NULL'])}\t{rng.random():.3f}"


def rent(rng):
    return f"{rng.choice([-1, 1])} {rng.randrange(20)}:1 {20 + rng.randrange(20)}:1 40:{rng.randrange(30)}"


def shop_event(rng):
    item = rng.randrange(20)
    action = rng.choice(["view", "buy", "cart"])
    return f"u{rng.randrange(20)},i{item},c{item % 4},{action},{1511658000 + rng.randrange(10**6)}"


def visits(folder, path):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    read = pyarrow.csv.ConvertOptions(column_types={"seen_at": pyarrow.string()})
    table = pyarrow.csv.read_csv(ROOT / "data/tiny/visits_tiny.csv", convert_options=read)
    pyarrow.parquet.write_table(table, folder / path)


def downloads(folder):
    """An archive as Frappe's, and the list that names it for scripts/download.sh."""
    miniatures.write("frappe_x1", folder / "published")
    archive = shutil.make_archive(folder / "frappe_x1", "zip", folder / "published")
    (folder / "downloads.txt").write_text(f"frappe_x1 url file://{archive}\n", encoding="utf-8")


def scripts(folder):
    (folder / "scripts").symlink_to(ROOT / "scripts")


def libfm(folder):
    miniatures.write_libfm(miniatures.MOVIELENS, folder)
    for split, name in {"train": "train", "valid": "validation", "test": "test"}.items():
        (folder / f"{split}.libfm").rename(folder / f"ml-tag.{name}.libfm")


SBATCH = """#!/bin/bash
# Stands for SLURM's: runs the jobs of an array one after the other, then prints the number of the array.
set -e
for word; do case $word in --array=1-*) tasks=${word#--array=1-} ;; esac; done
for task in $(seq "$tasks"); do SLURM_ARRAY_TASK_ID=$task bash -c "${@: -1}" >&2; done
echo 7
"""


def program(folder, name, text):
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def readme(folder):
    days(folder, ".gz")
    criteo(folder / "new/1.tsv")
    shutil.copy(ROOT / "data/tiny/visits_tiny.csv", folder / "visits.csv")
    miniatures.write("criteo_x1", folder / "data/criteo_x1")


def online(folder):
    days(folder, ".gz")
    days(folder, "")


def own_dataset(folder):
    shutil.copytree(ROOT / "data/tiny", folder / "data/tiny")
    csv(folder / "raw/pages/views.tsv", page_view)
    csv(folder / "raw/rented/rented.libfm", rent)
    visits(folder, "raw/visits.parquet")


def preparation(folder):
    write_yaml(TEXTS["docs/own_dataset.md"], folder)
    visits(folder, "visits/date=2024-01-01/country=CH/part-00000.snappy.parquet")
    program(folder, "sbatch", SBATCH)


def recipes(folder):
    scripts(folder)
    downloads(folder)
    libfm(folder)


GIVEN = {
    "README.md": readme,
    "docs/benchmarks.md": scripts,
    "docs/online.md": online,
    "docs/own_dataset.md": own_dataset,
    "docs/preparation.md": preparation,
    "docs/quick_start.md": lambda folder: days(folder, ".gz"),
    "docs/recipes.md": recipes,
    "docs/scaling.md": scripts,
    "docs/sequences.md": lambda folder: csv(folder / "log.csv", shop_event, header="user,item,category,action,time"),
    "docs/serving.md": lambda folder: [criteo(folder / "new/1.tsv"), criteo(folder / "labelled/1.tsv")],
    "docs/sweeps.md": lambda folder: criteo(folder / "train_110k.tsv.gz"),
}
