"""rectrain predict and rectrain export give one score for one raw row, whatever the model."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import yaml

from rectrain.errors import InputError
from rectrain.evaluation.metrics import logloss
from rectrain.export.columns import TEXTS, Columns
from rectrain.sections import train_config
from rectrain.training.restore import restore_model
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
REAL = {
    "criteo": "criteo/train_110k.tsv.gz",
    "movielens": "movielens_100k/u.data.gz",
    "census_income": "census_income/census-income_rows0-69999.gz",
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
        print(f"{model:30}" + "  ".join(f"{name} {value:.1e}" for name, value in found.items()))


@pytest.mark.parametrize("model", [pytest.param(m, marks=() if m in FAST else pytest.mark.slow) for m in TINY], ids=str)
def test_a_row_has_one_score_by_predict_evaluate_and_both_exports(rectrain, tmp_path, model, table):
    run = trained(rectrain, f"experiment=tiny/{model}", "data.sample.rows=50000")
    raw = changed(Path(manifest(run)["sources"][0]["path"]), tmp_path, config_of(run).data)
    table[model] = differences(rectrain, tmp_path, run, raw)
    assert max(table[model].values()) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.skipif(
    "RECTRAIN_REAL_DATA" not in os.environ, reason="RECTRAIN_REAL_DATA is not set: no folder of real data"
)
@pytest.mark.parametrize("model", [m for m, data in TINY.items() if data in REAL])
def test_so_it_is_with_real_rows(rectrain, tmp_path, model, table):
    raw = Path(os.environ["RECTRAIN_REAL_DATA"]) / REAL[TINY[model]]
    run = trained(rectrain, f"experiment=tiny/{model}", "data.source=files", f"data.files={raw}")
    table[f"{model}, real rows"] = differences(rectrain, tmp_path, run, raw)
    assert max(table[f"{model}, real rows"].values()) <= TOLERANCE


def config_of(run):
    return train_config(yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")))


def differences(rectrain, tmp_path, run, raw) -> dict[str, float]:
    """To the scores of `rectrain predict`."""
    scores = predicted(rectrain, run, raw)
    assert min(np.ptp(values) for values in scores.values()) > 0.01  # a constant would be equal to anything
    served = exported(rectrain, run)
    last = len(next(iter(scores.values()))) - 1
    rows = sorted({*range(40), *np.linspace(40, last, NUM_ROWS).astype(int).tolist(), *range(last - 2, last + 1)})
    spec = served.structured_input_signature[1]
    asked = requests({name.removeprefix("column_"): s for name, s in spec.items()}, config_of(run).data, raw, rows)
    columns = {name: asked[name.removeprefix("column_")] for name in spec}
    answers = served(**{n: tf.constant(columns[n].tolist(), s.dtype, columns[n].shape) for n, s in spec.items()})
    return {
        "evaluate": difference_of_losses(rectrain, run, raw, scores),
        "export": largest({task: answer.numpy() for task, answer in answers.items()}, scores, rows),
        "export, bare": largest(in_a_bare_environment(run, columns, tmp_path), scores, rows),
    }


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


def difference_of_losses(rectrain, run, raw, scores) -> float:
    """Between the log losses of `rectrain evaluate` and those of the predictions."""
    code, _, err = rectrain("evaluate", f"run={run}", f"input={raw}", "output=evaluated.json")
    assert code == 0, err
    told = json.loads(Path("evaluated.json").read_text(encoding="utf-8"))["metrics"]["input"]
    model = restore_model(run, "best")
    blocks = model.new_rows(str(raw), labelled=True).blocks("labels", run)
    labels = np.concatenate([packed["labels"] for _, packed in blocks])
    losses = []
    for task in model.steps.tasks:
        counts = slice(None) if task.given is None else labels[:, task.given] == 1
        own = logloss(labels[counts, task.column], scores[task.name][counts]).value
        losses.append(abs(own - told[task.name]["logloss"]["value"]))
    return max(losses)


def changed(raw: Path, folder: Path, data) -> Path:
    """The file with new, missing and extreme values in some rows, or with users and items that are new to a log."""
    lines = raw.read_text(encoding="utf-8").splitlines()
    if data.format.reader == "movielens":
        shutil.copytree(raw.parent, folder / "changed")
        moment = max(int(line.split(",")[3]) for line in lines[1:]) + 1
        news = [f"99999,777777,5,{moment}", f"99999,1,1,{moment + 5}", f"1,777777,4,{moment + 9}"]
        (folder / "changed" / raw.name).write_text("\n".join([*lines, *news]) + "\n", encoding="utf-8")
        return folder / "changed" / raw.name
    if data.format.columns is None:
        return raw  # Ali-CCP's lists: values are missing and unknown in them as they are
    kinds = {column: group.type for group in data.features.values() for column in group.columns}
    news = {"categorical": ["never seen", "", "0"], "numeric": ["-3", "", "99999999", "0.5"]}
    for i in range(30):
        cells = lines[i].split(data.format.delimiter)
        for j, column in enumerate(data.format.columns):
            if column in kinds and (i + j) % 3 == 0:
                cells[j] = news[kinds[column]][i // 3 % len(news[kinds[column]])]
        lines[i] = data.format.delimiter.join(cells)
    (folder / f"changed{raw.suffix}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / f"changed{raw.suffix}"


def test_formats_and_embeddings_hold_what_the_run_learned(rectrain, tmp_path):
    """ONNX from packed ids to probabilities, a .keras file to logits, and the vectors by value."""
    import onnxruntime

    from rectrain.export import keras_file
    from rectrain.training.restore import restore_run

    run = trained(rectrain, "experiment=tiny/din", "data.sample.rows=50000")
    asked = ["export.formats=[onnx,keras]", "export.embeddings=[item,genres]", "output=out"]
    code, _, err = rectrain("export", f"run={run}", *asked)
    assert code == 0, err
    restored = restore_run(run, "best")
    batch = next(iter(restored.batches("test")))
    expected = restored.steps.score(batch)["like"].numpy()
    session = onnxruntime.InferenceSession(tmp_path / "out/model.onnx")
    (found,) = session.run(None, {i.name: batch[i.name].numpy() for i in session.get_inputs()})
    np.testing.assert_allclose(found, expected, atol=1e-5)
    model = keras_file.load(tmp_path / "out/model.keras")
    logits = model({name: batch[name] for name in model.input}, training=False)["like"]
    np.testing.assert_allclose(tf.sigmoid(logits), expected, atol=1e-6)
    item = restored.schema.categorical[0]
    table = pq.read_table(tmp_path / "out/embeddings/item.parquet")
    weights = restored.steps.model.get_layer("embedding").table.numpy()
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist()), weights[: item.num_rows])
    vocabulary = pq.read_table(run / "vocab/item.parquet")["value"].to_pylist()
    assert table["value"].to_pylist() == ["(missing)", "(not in the vocabulary)", *vocabulary]
    assert not (tmp_path / "out/saved_model").exists()


def test_predict_explains_its_first_rows(rectrain, tmp_path):
    run = trained(rectrain, "experiment=tiny/din", "data.sample.rows=50000")
    raw = manifest(run)["sources"][0]["path"]
    asked = [f"run={run}", f"input={raw}", "output=scores.csv"]
    code, out, err = rectrain("predict", *asked, "predict.explain=3")
    assert code == 0, err
    page = (tmp_path / "scores.html").read_text(encoding="utf-8")
    assert "What the model saw in histories" in page
    assert [f"row {i}, like" in page for i in range(4)] == [True, True, True, False]
    scores = [float(line) for line in (tmp_path / "scores.csv").read_text(encoding="utf-8").split()[1:4]]
    assert all(f"{score:.4f}" in page for score in scores)
    assert "scores.html: 3 rows explained" in out


@pytest.mark.slow
@pytest.mark.parametrize("model", TINY)
def test_every_model_comes_back_from_its_keras_file(tmp_path, model):
    from rectrain.data.prepare import prepare
    from rectrain.export import keras_file
    from rectrain.training.build import CONSTANT_RATE, build_steps
    from rectrain.training.trainer import split_batches
    from tests.test_experiments import composed

    config = composed(f"experiment=tiny/{model}", "data.sample.rows=50000", f"data.prepared_dir={tmp_path}/p")
    prepared = prepare(config.data, say=print)
    steps = build_steps(config, prepared.schema, CONSTANT_RATE, "float32", trains=False)
    keras_file.write(steps, tmp_path / "model.keras")
    loaded = keras_file.load(tmp_path / "model.keras")
    batch = next(iter(split_batches(prepared, "valid", 64, steps.model)))
    inputs = {name: batch[name] for name in steps.model.input}
    before, after = steps.model(inputs, training=False), loaded(inputs, training=False)
    assert sorted(before) == sorted(after)
    for task in before:
        np.testing.assert_array_equal(before[task], after[task])


BAD = [
    ([], "run=null: expected the folder of"),
    (["run=nowhere"], "run=nowhere: there is no such folder"),
    (["run=RUN", "checkpoint=77"], "checkpoint=77: expected best (after the first evaluation), last or one"),
    (["run=RUN", "export.formats=[pickle]"], "export.formats"),
    (["run=RUN", "export.embeddings=[C99]"], "export.embeddings: 'C99' is no feature with values"),
    (["run=RUN", "export.embeddings=[C1]", "export.formats=[]"], "export.embeddings: model=lr has no embeddings"),
    (["run=RUN", "files=x.tsv"], "Set files=null"),
    (["run=RUN", "output=taken"], "output=taken cannot be written"),
]


def test_bad_input_of_export_is_one_message(rectrain, tmp_path):
    run = trained(rectrain, "model=lr", "data.sample.rows=4000")
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    for overrides, message in BAD:
        code, _, err = rectrain("export", *(o.replace("RUN", str(run)) for o in overrides))
        assert code == 2, overrides
        assert message in err
        assert "Traceback" not in err
    (run / "schema.json").write_text("{}", encoding="utf-8")
    code, _, err = rectrain("export", f"run={run}")
    assert code == 2
    assert "schema.json is missing or damaged" in err


def test_names_that_tensorflow_does_not_take():
    from rectrain.export.saved_model import input_names

    names = input_names(["C1", "101", "user id", "class", "_x", "größe"])
    assert names == {
        "C1": "C1",
        "101": "column_101",
        "user id": "user_id",
        "class": "column_class",
        "_x": "column__x",
        "größe": "gr__e",
    }
    with pytest.raises(InputError, match="two inputs of the exported model would be called 'a_b'"):
        input_names(["a b", "a-b"])


EVERY_KIND = """\
name: every_kind
format: {reader: parquet}
labels: {click: click}
features:
  words: {type: categorical, columns: [item, city]}
  hashed: {type: categorical, columns: [device, ip], hash_buckets: 50}
  fewer: {type: categorical, columns: [agent], hash_buckets: 7}
  prices: {type: numeric, columns: [price, rate], transform: quantile, buckets: 5}
  squares: {type: numeric, columns: [count], transform: log_square}
  ages: {type: numeric, columns: [age], transform: standardize}
  plain: {type: numeric, columns: [height], transform: log1p}
  topics: {type: multi_valued, columns: [topics], max_length: 3}
  tags: {type: multi_valued, columns: [tags], hash_buckets: 9, max_length: 2}
  viewed: {type: sequence, columns: [viewed, viewed_in], shares: [item, city], max_length: 4}
crosses: [[city, device], [item, city, agent]]
"""


def rows_of_every_kind(num_rows: int) -> pa.Table:
    rng = np.random.default_rng(5)

    def words(prefix, number):
        return [None if i == 0 else f"{prefix}{i}" for i in rng.integers(0, number, num_rows)]

    def numbers(scale):
        values = np.round(rng.normal(size=num_rows) * scale, 2)
        return pa.array(values, mask=rng.random(num_rows) < 0.1)

    def lists(prefix, lengths):
        return [[f"{prefix}{i}" for i in rng.integers(1, 9, n)] for n in lengths]

    steps = rng.integers(0, 7, num_rows)
    return pa.table(
        {
            "click": rng.integers(0, 2, num_rows),
            **{name: words(name[0], 12) for name in ("item", "city", "device", "ip", "agent")},
            **{name: numbers(scale) for name, scale in (("price", 9), ("rate", 1), ("count", 40), ("age", 20))},
            "height": numbers(3),
            "topics": lists("t", rng.integers(0, 6, num_rows)),
            "tags": lists("g", rng.integers(0, 4, num_rows)),
            "viewed": lists("i", steps),
            "viewed_in": lists("c", steps),
        }
    )


def test_every_kind_of_encoding_from_parquet(rectrain, tmp_path):
    """Quantiles, hashes of two sizes, crosses, lists and a ready-made history, in one model that reads them all."""
    (tmp_path / "conf/data").mkdir(parents=True)
    (tmp_path / "conf/data/every_kind.yaml").write_text(EVERY_KIND, encoding="utf-8")
    pq.write_table(rows_of_every_kind(1200), tmp_path / "rows.parquet")
    fixed = ["--config-dir=conf", "data=every_kind", "data.files=rows.parquet", "trainer.batch_size=64"]
    run = trained(rectrain, *fixed, "model=wide_deep", "model.hidden_units=[16]")
    found = differences(rectrain, tmp_path, run, tmp_path / "rows.parquet")
    assert max(found.values()) <= TOLERANCE


def test_onnx_without_its_extra_says_what_to_install(rectrain, monkeypatch):
    run = trained(rectrain, "model=lr", "data.sample.rows=4000")
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    code, _, err = rectrain("export", f"run={run}", "export.formats=[onnx]")
    assert code == 2
    assert "pip install 'rectrain[onnx]'" in err
    assert not list((run / "export").glob("*onnx*"))


def test_two_inputs_of_one_name_are_refused():
    columns = Columns(set())
    columns.text("history_item", "a")
    with pytest.raises(InputError, match="two inputs called 'history_item': a string of rank 1 and a string of rank 2"):
        columns.add("history_item", TEXTS, "a")
