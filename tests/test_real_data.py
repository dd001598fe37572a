"""Real rows, where RECTRAIN_REAL_DATA names the folder that holds them; they may not be shipped with the project."""

import gzip
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

FOLDER = os.environ.get("RECTRAIN_REAL_DATA")
CRITEO = Path(FOLDER or ".") / "criteo/train_110k.tsv.gz"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(FOLDER is None, reason="RECTRAIN_REAL_DATA is not set: no folder of real data"),
]


@pytest.fixture(scope="module")
def criteo_rows():
    if not CRITEO.exists():
        pytest.skip(f"{CRITEO} is missing")
    with gzip.open(CRITEO, "rt") as file:
        return [line.rstrip("\n").split("\t") for line in file]


def trained(rectrain, tmp_path, model, *overrides):
    code, _, err = rectrain(f"model={model}", f"data.files={CRITEO}", f"hydra.run.dir={tmp_path / model}", *overrides)
    assert code == 0, err
    return json.loads((tmp_path / model / "report.json").read_text(encoding="utf-8"))


def test_criteo_is_prepared_as_a_plain_count_says(rectrain, tmp_path, criteo_rows):
    assert rectrain("prepare", f"data.files={CRITEO}")[0] == 0
    (folder,) = (p for p in (tmp_path / "data/prepared").iterdir() if p.is_dir())
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    labels = np.array([row[0] == "1" for row in criteo_rows])
    bounds = {"train": (0, 88_000), "valid": (88_000, 99_000), "test": (99_000, 110_000)}
    for split, (start, end) in bounds.items():
        assert manifest["rows"][split] == end - start
        assert manifest["positives"][split]["click"] == labels[start:end].sum()
    c9 = Counter(row[22] for row in criteo_rows[:88_000] if row[22])
    expected = sorted(((v, n) for v, n in c9.items() if n >= 2), key=lambda pair: (-pair[1], pair[0]))
    table = pq.read_table(folder / "vocab/C9.parquet").to_pydict()
    assert list(zip(table["value"], table["count"], strict=True)) == expected


@pytest.mark.parametrize(
    ("model", "floor"),
    [("lr", 0.754), ("fm", 0.748), ("wide_deep", 0.749), ("deepfm", 0.749), ("dcn", 0.748), ("dcn_v2", 0.748)],
)
def test_models_reach_the_auc_of_criteo(rectrain, tmp_path, criteo_rows, model, floor):
    report = trained(rectrain, tmp_path, model)
    assert report["metrics"]["test"]["click"]["auc"]["value"] > floor
    assert report["data"]["source"] == "files"


@pytest.mark.parametrize("model", ["shared_bottom", "mmoe", "ple"])
def test_two_tasks_of_the_census_are_learned_together(rectrain, tmp_path, model):
    (rows,) = (Path(FOLDER) / "census_income").glob("census-income*.gz")
    code, _, err = rectrain(
        f"model={model}", "data=census_income", f"data.files={rows}", f"hydra.run.dir={tmp_path}/run"
    )
    assert code == 0, err
    report = json.loads((tmp_path / "run/report.json").read_text(encoding="utf-8"))
    auc = {task: entry["auc"]["value"] for task, entry in report["metrics"]["test"].items()}
    assert auc["income"] > 0.95
    assert auc["never_married"] > 0.993
