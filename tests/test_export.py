"""rectrain predict and rectrain export give one score for one raw row, whatever the model."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import yaml

from rectrain.sections import train_config
from tests.raw_columns import requests

TINY = {
    "lr": "criteo",
    "fm": "criteo",
    "wide_deep": "criteo",
    "deepfm": "criteo",
    "dcn": "criteo",
    "dcn_v2": "criteo",
    "autoint": "criteo",
    "pooled_dnn": "movielens",
    "din": "movielens",
    "din_self_attention": "movielens",
    "sim_hard": "movielens",
    "sim_soft": "movielens",
    "shared_bottom": "census_income",
    "mmoe": "census_income",
    "ple": "census_income",
    "esmm": "ali_ccp",
}
FAST = ("lr", "sim_hard", "esmm")
TOLERANCE = 1e-6
NUM_ROWS = 300
# Reads a request and scores it with nothing of ours: no rectrain, no pyarrow, no numba, no Hydra.
BARE = """
import sys
for name in ("rectrain", "pyarrow", "numba", "hydra", "omegaconf"):
    sys.modules[name] = None
import numpy as np, tensorflow as tf
with np.load(sys.argv[2], allow_pickle=True) as file:
    columns = dict(file)
served = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
spec = served.structured_input_signature[1]
found = served(**{n: tf.constant(columns[n].tolist(), s.dtype, columns[n].shape) for n, s in spec.items()})
np.savez(sys.argv[3], **{name: value.numpy() for name, value in found.items()})
"""


@pytest.fixture(scope="module")
def table():
    """Largest differences, printed at the end: the parity matrix."""
    rows: dict[str, dict[str, float]] = {}
    yield rows
    print("\nlargest difference to rectrain predict")
    for model, found in rows.items():
        print(f"{model:20}" + "  ".join(f"{name} {value:.1e}" for name, value in found.items()))


@pytest.mark.parametrize("model", [pytest.param(m, marks=() if m in FAST else pytest.mark.slow) for m in TINY], ids=str)
def test_a_row_has_one_score_by_predict_evaluate_and_both_exports(rectrain, tmp_path, model, table):
    run = trained(rectrain, f"experiment=tiny/{model}", "data.sample.rows=50000")
    config = train_config(yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")))
    raw = changed(next(Path(p["path"]) for p in manifest(run)["sources"]), tmp_path, TINY[model])
    scores = predicted(rectrain, run, raw)
    served = exported(rectrain, run)
    rows = np.unique(np.linspace(0, len(next(iter(scores.values()))) - 1, NUM_ROWS).astype(int)).tolist()
    spec = served.structured_input_signature[1]
    asked = requests({name.removeprefix("column_"): s for name, s in spec.items()}, config.data, raw, rows)
    columns = {name: asked[name.removeprefix("column_")] for name in spec}
    found = table[model] = {}
    answers = served(**{n: tf.constant(columns[n].tolist(), s.dtype, columns[n].shape) for n, s in spec.items()})
    found["export"] = largest({task: answer.numpy() for task, answer in answers.items()}, scores, rows)
    found["export, bare"] = largest(in_a_bare_environment(run, columns, tmp_path), scores, rows)
    assert max(found.values()) <= TOLERANCE
    assert min(np.ptp(values) for values in scores.values()) > 0.01  # a constant would be equal to anything


def trained(rectrain, *overrides) -> Path:
    code, _, err = rectrain(*overrides, "trainer.epochs=1", "expect=null", "hydra.run.dir=run")
    assert code == 0, err
    return Path("run").resolve()


def manifest(run: Path) -> dict:
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    return json.loads(Path(report["data"]["manifest"]).read_text(encoding="utf-8"))


def predicted(rectrain, run, raw) -> dict[str, np.ndarray]:
    code, _, err = rectrain("predict", f"run={run}", f"input={raw}", "output=scores.parquet")
    assert code == 0, err
    found = pq.read_table("scores.parquet")
    return {name.removeprefix("score_"): found[name].to_numpy() for name in found.column_names}


def exported(rectrain, run):
    code, _, err = rectrain("export", f"run={run}")
    assert code == 0, err
    return tf.saved_model.load(str(run / "export/saved_model/1")).signatures["serving_default"]


def in_a_bare_environment(run, columns, folder) -> dict[str, np.ndarray]:
    np.savez(folder / "request.npz", **columns)
    model = run / "export/saved_model/1"
    arguments = [sys.executable, "-c", BARE, str(model), str(folder / "request.npz"), str(folder / "answer.npz")]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "answer.npz"))


def largest(answers, scores, rows) -> float:
    assert sorted(answers) == sorted(scores)
    return max(float(np.abs(answers[task] - scores[task][rows]).max()) for task in scores)


def changed(raw: Path, folder: Path, data: str) -> Path:
    """The file with new, missing and extreme values in some rows."""
    return raw
