"""rectrain evaluate: the same figures as the run's own report, other checkpoints and splits, and messages."""

import json
import shutil

import pytest


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of two epochs, made once, and its report."""
    import os
    import sys

    from rectrain.cli import _main

    folder = tmp_path_factory.mktemp("run")
    before, sys.argv = os.getcwd(), ["rectrain"]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    os.chdir(folder)
    try:
        code = _main(
            ["model=dcn", "data.sample.rows=4000", "trainer.batch_size=256", "trainer.epochs=2", "hydra.run.dir=run"]
        )
    finally:
        os.chdir(before)
    assert code == 0
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
        (["run=."], "expected the folder of a run, with its config.yaml"),
        (["run=RUN", "checkpoint=7"], "checkpoint=7: expected best, last or one of the steps"),
        (["run=RUN", "split=tset"], "split=tset: expected one of train, valid, test"),
        (["run=RUN", "output=nowhere/found.json"], "output=nowhere/found.json: expected a file that ends with .json"),
        (["run=RUN", "output=found.txt"], "output=found.txt: expected a file that ends with .json"),
        (["run=RUN", "explain=-1"], "explain=-1: expected int in [0, inf)"),
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
