"""rectrain export: a scorer needs no more than the file."""

import json
import math

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from rectrain.online import features

ROWS = ["1,a,x|y,2.5", "0,b,,0", "0,a,y,1", "1,,x|z|x,-1", "0,c,z,0.5", "1,a,x,3"] * 40
LAYOUT = ["--config-dir=configs", "data=letters"]
YAML = """\
name: letters
format: {reader: csv}
labels: {click: click}
features:
  letters: {type: categorical, columns: [letter]}
  tags: {type: multi_valued, columns: [tags], max_length: 3}
  sizes: {type: numeric, columns: [size]}
"""


@pytest.fixture(autouse=True)
def _letters(tmp_path):
    (tmp_path / "configs/data").mkdir(parents=True)
    (tmp_path / "configs/data/letters.yaml").write_text(YAML)
    (tmp_path / "rows.csv").write_text("click,letter,tags,size\n" + "\n".join(ROWS) + "\n")


@pytest.fixture
def trained(rectrain, tmp_path):

    def call(*overrides):
        fixed = [*LAYOUT, "data.files=rows.csv", "online.bits=12", "optimizer.beta=1", "hydra.run.dir=run"]
        code, _, err = rectrain("online", *fixed, *overrides)
        assert code == 0, err
        places = list((tmp_path / "run/checkpoints").glob("rows-*/state.npy"))
        return np.load(places[0])[:, 0]

    return call


def exported(tmp_path):
    return pq.read_table(tmp_path / "run/export/weights.parquet").to_pylist()


def logit(weights: dict, letter, tags, size) -> float:
    found = weights.get(("letter", letter or None), 0.0)
    kept = [tag for tag in tags.split("|") if tag][:3]
    found += sum(weights.get(("tags", tag), 0.0) for tag in kept) / max(len(kept), 1)
    return found + weights.get(("size", None), 0.0) * float(size) + weights[("(bias)", None)]


def test_scores_from_the_file_are_those_of_the_learner(rectrain, trained, tmp_path):
    state = trained()
    assert rectrain("export", "run=run")[0] == 0
    rows = exported(tmp_path)
    weights = {(row["feature"], row["value"]): row["weight"] for row in rows}
    assert len(weights) == len(rows)
    assert all(row["weight"] == state[row["coordinate"]] != 0 for row in rows)
    (tmp_path / "next.csv").write_text("click,letter,tags,size\n0,a,x|z,2\n")
    before = sum_of_losses(tmp_path)
    fixed = [*LAYOUT, "online.bits=12", "optimizer.beta=1", "hydra.run.dir=run", "resume=true"]
    assert rectrain("online", *fixed, "data.files=next.csv")[0] == 0
    loss = math.log1p(math.exp(logit(weights, "a", "x|z", 2)))  # of a row that was scored before it was learned from
    assert sum_of_losses(tmp_path) - before == pytest.approx(loss, abs=1e-5)


def sum_of_losses(tmp_path) -> float:
    """Sum of the progressive losses so far."""
    metrics = json.loads((tmp_path / "run/report.json").read_text())["metrics"]["progressive"]["click"]
    return metrics["logloss"]["value"] * metrics["rows"]


def test_zero_weights_are_left_out_and_what_no_file_names_comes_without_name(rectrain, trained, tmp_path):
    state = trained("optimizer.lambda1=0.5")
    (tmp_path / "few.csv").write_text("click,letter,tags,size\n1,a,x,1\n")
    code, out, _ = rectrain("export", "run=run", "files=few.csv", "output=few")
    assert code == 0
    rows = pq.read_table(tmp_path / "few/weights.parquet").to_pylist()
    assert {row["coordinate"] for row in rows} == set(np.flatnonzero(state))
    named = {(row["feature"], row["value"]) for row in rows}
    assert ("letter", "a") in named
    assert (None, None) in named
    assert ("letter", "b") not in named
    assert "weights have no name" in out


def test_prepared_data_name_values_by_their_vocabularies(rectrain, trained, tmp_path):
    state = trained("online.source=prepared")
    assert rectrain("export", "run=run")[0] == 0
    rows = exported(tmp_path)
    assert {row["coordinate"] for row in rows} == set(np.flatnonzero(state))
    assert {row["value"] for row in rows if row["feature"] == "letter"} == {"a", "b", "c", None}
    assert None not in {row["feature"] for row in rows}


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], "run=null"),
        (["run=nowhere"], "run=nowhere: there is no such folder"),
        (["run=run", "checkpoint=last"], "an online run keeps its newest state alone"),
        (["run=run", "files=missing.csv"], "missing.csv"),
        (["run=run", "output=rows.csv/x"], "output="),
    ],
)
def test_what_is_wrong_is_named(rectrain, trained, tmp_path, overrides, expected):
    trained()
    code, _, err = rectrain("export", *overrides)
    assert code == 2
    assert expected in err


def test_runs_without_weights_are_refused(rectrain, trained, tmp_path):
    trained()
    config = (tmp_path / "run/config.yaml").read_text()
    (tmp_path / "fresh").mkdir()
    (tmp_path / "fresh/config.yaml").write_text(config)
    (tmp_path / "fresh/schema.json").write_bytes((tmp_path / "run/schema.json").read_bytes())
    code, _, err = rectrain("export", "run=fresh")
    assert code == 2
    assert "has saved nothing" in err


def test_the_served_model_holds_the_weights_that_are_not_zero(rectrain, trained, tmp_path):
    state = trained("optimizer.lambda1=0.5")
    assert rectrain("export", "run=run")[0] == 0
    held = tf.train.load_checkpoint(str(tmp_path / "run/export/saved_model/1/variables/variables"))
    sizes = [np.prod(shape, dtype=int) for shape in held.get_variable_to_shape_map().values()]
    nonzero = np.count_nonzero(state[:-2])  # the number and the bias come last
    assert 0 < nonzero == max(sizes)


def test_weights_learned_row_by_row_have_no_other_form(rectrain, trained):
    trained()
    for asked in ("export.formats=[keras]", "export.formats=[onnx]", "export.embeddings=[letter]"):
        code, _, err = rectrain("export", "run=run", asked)
        assert code == 2
        assert "learned row by row has weights and no more" in err


def test_other_commands_say_what_to_do_with_an_online_run(rectrain, trained):
    trained()
    for words in (["evaluate", "run=run"], ["predict", "run=run", "input=rows.csv", "output=x.csv"]):
        code, _, err = rectrain(*words)
        assert code == 2
        assert "makes a model of it that scores raw columns" in err


def test_values_of_standard_input_have_no_names(rectrain, trained, tmp_path):
    trained()
    config = (tmp_path / "run/config.yaml").read_text()
    (tmp_path / "run/config.yaml").write_text(config.replace("files: rows.csv", "files: '-'"))
    code, out, _ = rectrain("export", "run=run")
    assert code == 0
    assert "weights.parquet is left out: the run read standard input" in out
    assert not (tmp_path / "run/export/weights.parquet").exists()
    assert rectrain("export", "run=run", "files=rows.csv")[0] == 0
    assert (tmp_path / "run/export/weights.parquet").exists()


FTRL, DEEP = ["optimizer.beta=1"], ["online.batch_size=16", "model=deepfm", "optimizer=lazy_adam"]


@pytest.mark.parametrize(
    ("overrides", "row"),
    [
        (FTRL, ("1", "a", "x|z|x|y", "2.5")),  # more tags than count
        (FTRL, ("0", "", "", "")),
        ([*FTRL, "optimizer.lambda1=0.5"], ("1", "new", "|x||w", "-3")),
        ([*FTRL, "online.batch_size=16"], ("1", "b", "y", "0")),
        ([*FTRL, "data.features.sizes.transform=log_square"], ("1", "a", "x", "2.5")),  # numbers that became categories
        (DEEP, ("0", "a", "x|z|x|y", "2.5")),
        (DEEP, ("1", "", "", "")),
    ],
    ids=str,
)
def test_the_served_model_scores_as_the_learner_did(rectrain, tmp_path, overrides, row):
    """The next row is scored by the served model, and by the learner before it learns from it."""
    online = [*LAYOUT, "online.bits=12", "hydra.run.dir=run", *overrides]
    assert rectrain("online", *online, "data.files=rows.csv")[0] == 0
    assert rectrain("export", "run=run")[0] == 0
    label, letter, tags, size = row
    served = tf.saved_model.load(str(tmp_path / "run/export/saved_model/1")).signatures["serving_default"]
    size_or_nan = tf.constant([float(size or "nan")], tf.float64)
    score = float(served(letter=tf.constant([letter]), tags=tf.constant([[tags]]), size=size_or_nan)["click"][0])
    (tmp_path / "next.csv").write_text("click,letter,tags,size\n" + ",".join(row) + "\n")
    before = sum_of_losses(tmp_path)
    assert rectrain("online", *online, "data.files=next.csv", "resume=true")[0] == 0
    expected = -math.log(score if label == "1" else 1 - score)
    assert sum_of_losses(tmp_path) - before == pytest.approx(expected, abs=1e-5)


def test_padding_of_tags_reads_a_row_that_no_value_has(trained, monkeypatch):
    seen = []
    healthy = features.packed_rows
    monkeypatch.setattr("rectrain.online.stream.packed_rows", lambda *a: seen.append(healthy(*a)) or seen[-1])
    state = trained("online.bits=4")
    (rows, _), *_ = seen
    assert (rows["tags"][~rows["tags_valid"]] == 16).all()
    assert rows["tags"][rows["tags_valid"]].max() < 16
    assert len(state) == 16 + 1 + 1 + 1  # buckets, padding, the number, the bias
    assert state[16] == 0
