"""rectrain predict: rows in their order, every layout in and out, and one message where something is wrong."""

import errno
import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.runs import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on the built-in sample, made once: (its folder, the raw file)."""
    folder = tmp_path_factory.mktemp("run")
    make_run(folder, "model=fm", "data.sample.rows=4000", "trainer.batch_size=256", "trainer.epochs=2")
    report = json.loads((folder / "run/report.json").read_text(encoding="utf-8"))
    manifest = json.loads(Path(report["data"]["manifest"]).read_text(encoding="utf-8"))
    return folder / "run", Path(manifest["sources"][0]["path"])


def scores_of(rectrain, run, raw, *overrides, output="scores.parquet"):
    code, out, err = rectrain("predict", f"run={run}", f"input={raw}", f"output={output}", *overrides)
    assert code == 0, err
    return out


@pytest.fixture
def expected(rectrain, run, tmp_path):
    scores_of(rectrain, *run, output="expected.parquet")
    return pq.read_table(tmp_path / "expected.parquet")["score_click"].to_numpy()


def test_the_scores_are_those_of_the_runs_own_evaluation(rectrain, run, expected):
    from rectrain.training.restore import restore_run

    restored = restore_run(run[0], "best")
    own = np.concatenate([restored.score(split).probabilities["click"] for split in ("train", "valid", "test")])
    np.testing.assert_allclose(expected, own, atol=1e-6)
    assert np.ptp(expected) > 0.05


def test_rows_keep_their_order_over_files_and_columns_are_carried_along(rectrain, run, expected, tmp_path):
    folder, raw = run
    lines = raw.read_text(encoding="utf-8").splitlines(keepends=True)
    with gzip.open(tmp_path / "b.tsv.gz", "wt", encoding="utf-8") as file:
        file.writelines(lines[:1500])
    (tmp_path / "a.tsv").write_text("".join(lines[1500:]), encoding="utf-8")
    out = scores_of(rectrain, folder, "[b.tsv.gz,a.tsv]", "predict.keep=[label,C3]")
    found = pq.read_table("scores.parquet")
    assert found.column_names == ["label", "C3", "score_click"]
    np.testing.assert_allclose(found["score_click"], expected, atol=1e-6)
    cells = [line.rstrip("\n").split("\t") for line in lines]
    assert found["label"].to_pylist() == [row[0] for row in cells]
    assert [text or "" for text in found["C3"].to_pylist()] == [row[16] for row in cells]
    assert "4,000 rows" in out


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_text_in_and_out(rectrain, run, expected, tmp_path, suffix):
    out = scores_of(rectrain, *run, "predict.keep=[C1]", output=f"scores.{suffix}")
    options = pa.csv.ParseOptions(delimiter="," if suffix == "csv" else "\t")
    found = pa.csv.read_csv(tmp_path / f"scores.{suffix}", parse_options=options)
    np.testing.assert_allclose(found["score_click"], expected, atol=1e-6)
    assert f"scores.{suffix}" in out


def test_parquet_stands_for_text(rectrain, run, expected, tmp_path):
    folder, raw = run
    names = ["label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))]
    options = pa.csv.ReadOptions(column_names=names)
    types = dict.fromkeys(names[14:], pa.string())
    table = pa.csv.read_csv(
        raw,
        read_options=options,
        parse_options=pa.csv.ParseOptions(delimiter="\t"),
        convert_options=pa.csv.ConvertOptions(column_types=types, strings_can_be_null=True),
    )
    pq.write_table(table.drop_columns(["label"]), tmp_path / "rows.parquet")
    scores_of(rectrain, folder, "rows.parquet")
    np.testing.assert_allclose(pq.read_table("scores.parquet")["score_click"], expected, atol=1e-6)


def test_rows_without_their_label(rectrain, run, expected, tmp_path):
    folder, raw = run
    lines = raw.read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "new.tsv").write_text("".join(line.partition("\t")[2] for line in lines), encoding="utf-8")
    scores_of(rectrain, folder, "new.tsv")
    np.testing.assert_allclose(pq.read_table("scores.parquet")["score_click"], expected, atol=1e-6)


def test_a_run_needs_neither_its_prepared_data_nor_its_place(rectrain, run, expected, tmp_path):
    folder, raw = run
    moved = shutil.copytree(folder, tmp_path / "moved")
    shutil.copy(raw, tmp_path / "raw.tsv")
    report = json.loads((moved / "report.json").read_text(encoding="utf-8"))
    report["data"]["manifest"] = "gone"
    (moved / "report.json").write_text(json.dumps(report), encoding="utf-8")
    scores_of(rectrain, "moved", "raw.tsv", "checkpoint=last")
    assert not (tmp_path / "data").exists()
    assert len(pq.read_table("scores.parquet")) == len(expected)


BAD = [
    (["run=null"], "run=null: expected the folder of a run"),
    (["input=null"], "input=null: expected raw files"),
    (["output=null"], "output=null: expected a file of .parquet, .csv or .tsv"),
    (["run=nowhere"], "run=nowhere: there is no such folder"),
    (["input=nowhere.tsv"], "input: 'nowhere.tsv' names no file"),
    (["output=scores.txt"], "output=scores.txt: expected a file that ends with .parquet, .csv or .tsv"),
    (["output=nowhere/scores.csv"], "expected a file in a folder that is there"),
    (["checkpoint=7"], "checkpoint=7: expected best (after the first evaluation), last or one of the steps"),
    (["checkpoint=all"], "checkpoint=all: expected one of them"),
    (["predict.keep=[C99]"], "predict.keep: there is no column 'C99'"),
    (["predict.keep=[C1,C1]"], "predict.keep: there would be two columns 'C1'"),
    (["input=cut.tsv"], "cut.tsv, line 3"),
    (["input=number.tsv"], "number.tsv, line 2"),
    (["input=headed.parquet"], "no column 'I1'"),
    (["input=[cut.tsv,headed.parquet]"], "some files are parquet and some are not"),
]


@pytest.mark.parametrize(("overrides", "message"), BAD, ids=lambda x: str(x)[:40])
def test_bad_input_is_one_message_and_leaves_nothing(rectrain, run, tmp_path, overrides, message):
    folder, raw = run
    lines = raw.read_text(encoding="utf-8").splitlines(keepends=True)[:5]
    (tmp_path / "cut.tsv").write_text("".join([*lines[:2], "1\t2\n", *lines[3:]]), encoding="utf-8")
    (tmp_path / "number.tsv").write_text("".join([lines[0], "0\tmany\t" + "\t" * 37 + "\n"]), encoding="utf-8")
    pq.write_table(pa.table({"C1": ["a"]}), tmp_path / "headed.parquet")
    (tmp_path / "scores.csv").write_text("mine", encoding="utf-8")
    before = sorted(p.name for p in tmp_path.iterdir())
    asked = {"run": folder, "input": raw, "output": "scores.csv"}
    asked |= dict(item.split("=", 1) for item in overrides)
    code, _, err = rectrain("predict", *(f"{key}={value}" for key, value in asked.items()))
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert (tmp_path / "scores.csv").read_text(encoding="utf-8") == "mine"


def test_an_input_is_not_replaced(rectrain, run, tmp_path):
    shutil.copy(run[1], tmp_path / "rows.tsv")
    before = (tmp_path / "rows.tsv").read_bytes()
    code, _, err = rectrain("predict", f"run={run[0]}", "input=rows.tsv", "output=./rows.tsv")
    assert code == 2
    assert "is one of the files of input" in err
    assert (tmp_path / "rows.tsv").read_bytes() == before


def test_what_the_run_left_must_be_of_one_run(rectrain, run, tmp_path):
    moved = shutil.copytree(run[0], tmp_path / "moved")
    shutil.copyfile(moved / "vocab/C1.parquet", moved / "vocab/C2.parquet")
    code, _, err = rectrain("predict", "run=moved", f"input={run[1]}", "output=scores.csv")
    assert code == 2
    assert "Expected config.yaml, schema.json and vocab/ of one run" in err
    (moved / "vocab/C2.parquet").write_bytes(b"PAR1")
    code, _, err = rectrain("predict", "run=moved", f"input={run[1]}", "output=scores.csv")
    assert code == 2
    assert "vocab/C2.parquet: the vocabulary is missing or damaged" in err
    assert not (tmp_path / "scores.csv").exists()


def test_a_full_disk_is_told_and_the_output_stays_as_it_was(rectrain, run, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "scores.parquet").write_text("mine", encoding="utf-8")
    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    code, _, err = rectrain("predict", f"run={run[0]}", f"input={run[1]}", "output=scores.parquet")
    assert code == 2
    assert "output=scores.parquet cannot be written: the disk is full" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scores.parquet"]
    assert (tmp_path / "scores.parquet").read_text(encoding="utf-8") == "mine"


def test_a_run_without_an_evaluation_has_no_best_checkpoint(rectrain, run, tmp_path):
    moved = shutil.copytree(run[0], tmp_path / "moved")
    index = json.loads((moved / "checkpoints/index.json").read_text(encoding="utf-8"))
    (moved / "checkpoints/index.json").write_text(json.dumps({**index, "best": None}), encoding="utf-8")
    code, _, err = rectrain("predict", "run=moved", f"input={run[1]}", "output=scores.csv")
    assert code == 2
    assert "checkpoint=best: expected best (after the first evaluation), last or one of the steps" in err
    scores_of(rectrain, "moved", run[1], "checkpoint=last")
