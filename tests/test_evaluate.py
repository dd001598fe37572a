"""rectrain evaluate: the same figures as the run's own report, other checkpoints and splits, and messages."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rectrain.data.new_rows import _check_labels
from rectrain.data.texts import Texts
from rectrain.errors import InputError
from rectrain.evaluation.importance import importance, joined
from rectrain.tasks import Task
from tests.runs import make_run
from tests.samples import schema as schema_of_samples
from tests.test_experiments import composed


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of two epochs, made once, and its report."""
    folder = tmp_path_factory.mktemp("run")
    make_run(folder, "model=dcn", "data.sample.rows=4000", "trainer.batch_size=256", "trainer.epochs=2")
    return folder / "run", json.loads((folder / "run/report.json").read_text(encoding="utf-8"))


def test_the_best_checkpoint_scores_as_the_run_said(rectrain, run):
    folder, report = run
    code, out, err = rectrain("evaluate", f"run={folder}")
    assert code == 0, err
    found = json.loads((folder / "evaluation-test.json").read_text(encoding="utf-8"))
    assert found["metrics"] == {"test": report["metrics"]["test"]}
    assert found["checkpoint"] == report["best"]["step"]
    assert f"{report['metrics']['test']['click']['auc']['value']:.4f}" in out
    page = (folder / "evaluation-test.html").read_text(encoding="utf-8")
    assert "click on the test split" in page
    assert "What the model saw" not in page


def test_another_checkpoint_and_split_into_a_file_of_choice(rectrain, run, tmp_path):
    folder, report = run
    first = report["history"][0]
    code, _, err = rectrain(
        "evaluate", f"run={folder}", "split=valid", f"checkpoint={first['step']}", "output=found.json"
    )
    assert code == 0, err
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["metrics"]["valid"]["click"]["auc"]["value"] == first["valid"]["click"]["auc"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["found.html", "found.json"]


def test_prepared_data_that_are_gone_are_prepared_again(rectrain, run, tmp_path):
    folder, report = run
    moved = shutil.copytree(folder, tmp_path / "moved")
    told = {**report, "data": {**report["data"], "manifest": str(tmp_path / "gone/manifest.json")}}
    (moved / "report.json").write_text(json.dumps(told), encoding="utf-8")
    code, out, err = rectrain("evaluate", f"run={moved}", "checkpoint=last")
    assert code == 0, err
    assert "counting rows" in out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "run=null: expected the folder of a run"),
        (["run=nowhere"], "run=nowhere: there is no such folder"),
        (["run=."], "run=.: it has no config.yaml; expected the folder of a run"),
        (["run=RUN", "checkpoint=7"], "checkpoint=7: expected best (after the first evaluation), last or one"),
        (["run=RUN", "checkpoint=[]"], "checkpoint=[]: expected best (after the first evaluation), last or one"),
        (["run=RUN", "split=tset"], "split=tset: expected one of train, valid, test"),
        (["run=RUN", "output=nowhere/found.json"], "output=nowhere/found.json: expected a file that ends with .json"),
        (["run=RUN", "output=found.txt"], "output=found.txt: expected a file that ends with .json"),
        (["run=RUN", "explain=-1"], "explain=-1: expected int in [0, 2147483647]"),
        (["run=RUN", "explain=2"], "explain: model=dcn does not weigh the steps of a history"),
        (["run=RUN", "model=dcn"], "model"),
    ],
    ids=str,
)
def test_what_is_wrong_is_one_message_and_leaves_nothing(rectrain, run, tmp_path, overrides, message):
    code, _, err = rectrain("evaluate", *(o.replace("RUN", str(run[0])) for o in overrides))
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_damaged_checkpoint_and_a_changed_schema_are_named(rectrain, run, tmp_path):
    folder, report = run
    moved = shutil.copytree(folder, tmp_path / "moved")
    variables = moved / f"checkpoints/step-{report['best']['step']:08d}/variables.index"
    variables.write_bytes(b"no index")
    code, _, err = rectrain("evaluate", f"run={moved}")
    assert code == 2
    assert (
        f"step-{report['best']['step']:08d} is damaged (variables.index: not as written). Choose another one with"
        in err
    )
    schema = json.loads((moved / "schema.json").read_text(encoding="utf-8"))
    schema["categorical"][0]["num_rows"] += 1
    (moved / "schema.json").write_text(json.dumps(schema), encoding="utf-8")
    code, _, err = rectrain("evaluate", f"run={moved}")
    assert code == 2
    assert "was trained on other data" in err


def test_new_labelled_files_are_a_split_called_input(rectrain, run, tmp_path):
    folder, report = run
    manifest = json.loads(Path(report["data"]["manifest"]).read_text(encoding="utf-8"))
    lines = Path(manifest["sources"][0]["path"]).read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "new.tsv").write_text("".join(lines[3600:]), encoding="utf-8")  # the rows of the test split
    code, _, err = rectrain("evaluate", f"run={folder}", "input=new.tsv", "output=found.json", "explain=0")
    assert code == 0, err
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["metrics"]["input"] == report["metrics"]["test"]
    assert found["data"]["source"] == "files"
    (tmp_path / "new.tsv").write_text("".join(line.partition("\t")[2] for line in lines[:5]), encoding="utf-8")
    code, _, err = rectrain("evaluate", f"run={folder}", "input=new.tsv", "output=found.json")
    assert code == 2
    assert "no column 'label'" in err


def test_checkpoints_in_one_table(rectrain, run, tmp_path):
    folder, report = run
    code, out, err = rectrain("evaluate", f"run={folder}", "split=valid", "checkpoint=all", "output=found.json")
    assert code == 0, err
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    aucs = {of["step"]: of["metrics"]["click"]["auc"]["value"] for of in found["checkpoints"]}
    assert aucs == {point["step"]: point["valid"]["click"]["auc"] for point in report["history"]}
    assert "checkpoint  task" in out
    assert "<h2>Checkpoints</h2>" in (tmp_path / "found.html").read_text(encoding="utf-8")


def test_slices_are_the_metrics_of_their_rows(rectrain, run, tmp_path):
    from rectrain.evaluation.metrics import auc
    from rectrain.training.restore import restore_run

    folder, _ = run
    code, _, err = rectrain("evaluate", f"run={folder}", "split=train", "evaluate.by=[C3]", "output=found.json")
    assert code == 0, err
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["slices"]["C3"]["click"]
    restored = restore_run(folder, "best")
    scored = restored.score("train")
    schema = restored.schema
    column = [f.name for f in schema.categorical].index("C3")
    ids = np.concatenate([np.asarray(batch["categorical"])[:, column] for batch in restored.batches("train")])
    texts = Texts(schema, folder)
    assert len(found["slices"]) > 1
    for entry in found["slices"]:
        rows = np.array([texts.of(i) == entry["value"] for i in ids])
        assert entry["rows"] == rows.sum()
        positives = scored.labels[rows, 0].sum()
        assert entry["small"] == (rows.sum() < 1000 or min(positives, rows.sum() - positives) < 50)
        assert (
            entry["metrics"]["auc"]["value"] == auc(scored.labels[rows, 0], scored.probabilities["click"][rows]).value
        )
    assert found["left_out"] + len(found["slices"]) == len(np.unique(ids))
    order = [(entry["small"], entry["metrics"]["auc"]["value"]) for entry in found["slices"]]
    assert order == sorted(order)


def test_importance_of_what_decides_and_of_what_does_not():
    schema = schema_of_samples(numeric=2, multi_valued=False, crosses=False)
    rng = np.random.default_rng(1)
    batch = {"categorical": rng.integers(0, 5, (4000, 3)), "numeric": rng.normal(size=(4000, 2)).astype("float32")}
    logit = batch["categorical"][:, 1] - 2.0 + 0.5 * batch["numeric"][:, 0]
    batch["labels"] = (rng.random(4000) < 1 / (1 + np.exp(-logit))).astype("float32")[:, None]

    def score(rows):
        return {"click": 1 / (1 + np.exp(-(rows["categorical"][:, 1] - 2.0 + 0.5 * rows["numeric"][:, 0])))}

    found = importance(score, batch, [Task("click", "click", 0)], schema, repeats=2, seed=3, say=print)
    assert [entry["feature"] for entry in found[:2]] == ["b", "n0"]
    losses = {entry["feature"]: entry["tasks"]["click"] for entry in found}
    assert losses["b"]["low"] > 0.1
    assert losses["n0"]["low"] > 0.01
    assert losses["a"] == losses["c"] == losses["n1"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_rows_of_batches_of_unequal_width_are_joined():
    batches = [
        {
            "labels": np.zeros((3, 1)),
            "h": np.array([[1, 2], [3, 9], [4, 5]]),
            "h_valid": np.array([[1, 1], [1, 0], [1, 1]], bool),
        },
        {"labels": np.ones((2, 1)), "h": np.array([[6], [7]]), "h_valid": np.array([[1], [0]], bool)},
    ]
    found = joined(iter(batches), 3, 5)  # every second row
    assert found["labels"][:, 0].tolist() == [0, 0, 1]
    assert [row[valid].tolist() for row, valid in zip(found["h"], found["h_valid"], strict=True)] == [
        [1, 2],
        [4, 5],
        [],
    ]


def test_what_features_are_worth_is_told(rectrain, run, tmp_path):
    folder, report = run
    code, out, err = rectrain("evaluate", f"run={folder}", "evaluate.importance=2", "output=found.json")
    assert code == 0, err
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["importance"]
    assert sorted(entry["feature"] for entry in found) == sorted(f["name"] for f in report["data"]["features"])
    assert all(e["tasks"]["click"]["low"] <= e["tasks"]["click"]["value"] <= e["tasks"]["click"]["high"] for e in found)
    assert "click loses" in out
    assert "<h2>What features are worth</h2>" in (tmp_path / "found.html").read_text(encoding="utf-8")


def test_files_must_hold_labels_and_rows_of_the_data_set(rectrain, tmp_path):
    with pytest.raises(InputError, match=r"the labels of this data set are not in its rows \(data.negatives\)"):
        _check_labels(composed("data=amazon").data)
    (tmp_path / "rows.csv").write_text("click,city\n" + "1,a\n0,a\n0,b\n" * 40, encoding="utf-8")
    (tmp_path / "none.csv").write_text("click,city\n1,b\n", encoding="utf-8")
    (tmp_path / "conf/data").mkdir(parents=True)
    (tmp_path / "conf/data/cities.yaml").write_text(CITIES, encoding="utf-8")
    words = ["--config-dir=conf", "data=cities", "model=lr", "data.files=rows.csv", "hydra.run.dir=run"]
    assert rectrain(*words, "trainer.epochs=1", "trainer.patience=null", "trainer.monitor=logloss")[0] == 0
    code, _, err = rectrain("evaluate", "run=run", "input=none.csv")
    assert code == 2
    assert "no row of the files is one of the data set: see data.rows" in err


CITIES = """\
name: cities
format: {reader: csv}
labels: {click: click}
rows: {column: city, one_of: [a]}
features:
  words: {type: categorical, columns: [city]}
"""
