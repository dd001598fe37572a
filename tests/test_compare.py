"""rectrain compare against a baseline: paired figures, a verdict in words, and the gate."""

import numpy as np
import pytest

from rectrain.commands.compare import _shared
from rectrain.evaluation.evaluate import Scored
from rectrain.evaluation.metrics import paired_auc_difference
from rectrain.evaluation.paired import paired_differences
from rectrain.outputs.comparison import comparison
from rectrain.outputs.summary import Page
from rectrain.outputs.verdict import verdict_lines
from rectrain.tasks import Task
from tests.runs import make_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run, one that learned nothing, and one on other rows."""
    folder = tmp_path_factory.mktemp("runs")
    common = ["model=lr", "trainer.batch_size=256", "trainer.epochs=2"]
    for name, overrides in {
        "good": ["data.sample.rows=20000", "optimizer.learning_rate=1e-2"],
        "bad": ["data.sample.rows=20000", "trainer.max_steps=1"],
        "other": ["data.sample.rows=10000"],
    }.items():
        make_run(folder, *common, *overrides)
        (folder / "run").rename(folder / name)
    return folder


def test_the_gate_closes_on_a_run_that_is_worse_than_the_baseline(rectrain, runs):
    asked = [f"runs=[{runs}/good,{runs}/bad]", "fail_if_worse=true"]
    code, out, err = rectrain("compare", *asked, f"baseline={runs}/good")
    assert code == 3
    assert f"worse than baseline={runs}/good on test: {runs}/bad (click)" in err
    assert "AUC worse by" in out
    code, out, err = rectrain("compare", *asked, f"baseline={runs}/bad")
    assert code == 0, err
    assert "AUC better by" in out


def test_runs_on_other_rows_are_not_paired(rectrain, runs):
    asked = [f"runs=[{runs}/other]", f"baseline={runs}/good"]
    code, out, err = rectrain("compare", *asked)
    assert code == 0, err
    assert f"not paired: {runs}/other has other data" in out
    code, _, err = rectrain("compare", *asked, "fail_if_worse=true")
    assert code == 2
    assert f"{runs}/other cannot be held to a baseline of other data" in err


def test_tasks_that_one_of_them_has_not_are_left_out():
    tasks = [Task("click", "click", 0), Task("cvr", "buy", 1)]
    assert _shared(tasks, tasks[:1]) == tasks[:1]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["fail_if_worse=true"], "fail_if_worse=true needs a run to compare with: set baseline=DIR"),
        (["baseline=nowhere"], "run=nowhere: there is no such folder"),
    ],
    ids=str,
)
def test_what_cannot_be_compared_is_said(rectrain, runs, overrides, message):
    code, _, err = rectrain("compare", f"runs=[{runs}/good]", *overrides)
    assert code == 2
    assert message in err


def test_differences_are_of_the_rows_that_count_and_have_the_sign_of_the_metric():
    rng = np.random.default_rng(4)
    click = rng.integers(0, 2, 2000).astype(np.float32)
    buy = click * rng.integers(0, 2, 2000)
    labels = np.stack([click, buy, rng.normal(size=2000)], axis=1).astype(np.float32)
    tasks = [Task("click", "click", 0), Task("cvr", "buy", 1, given=0), Task("price", "price", 2, is_number=True)]
    good = np.clip(0.5 + 0.3 * (click - 0.5) + 0.2 * rng.normal(size=2000), 0.01, 0.99)
    noise = rng.uniform(0.2, 0.8, 2000)
    ours = Scored(labels, {"click": good, "cvr": noise, "price": labels[:, 2] + 0.1}, None)
    theirs = Scored(labels, {"click": noise, "cvr": noise[::-1], "price": labels[:, 2] + 0.2}, None)
    found = paired_differences(ours, theirs, tasks)
    expected = paired_auc_difference(click, good, noise)
    assert found["click"]["auc"]["difference"] == expected.difference
    assert found["click"]["auc"]["verdict"] == found["click"]["logloss"]["verdict"] == "better"
    counted = click == 1
    of_cvr = paired_auc_difference(buy[counted], noise[counted], noise[::-1][counted])
    assert found["cvr"]["auc"]["difference"] == of_cvr.difference
    assert found["price"]["mse"]["difference"] == pytest.approx(0.01 - 0.04, abs=1e-6)
    assert found["price"]["mse"]["verdict"] == "better"
    lines = "\n".join(verdict_lines(Page(200, False, True), "a against b", found, 0.5))
    assert "training     slower by 2.0x" in lines
    assert "price        MSE better by 0.0300" in lines


def test_runs_without_a_class_have_no_auc_to_compare():
    labels = np.ones((5, 1), np.float32)
    scored = Scored(labels, {"click": np.linspace(0.1, 0.9, 5)}, None)
    found = paired_differences(scored, scored, [Task("click", "click", 0)])
    assert found["click"]["logloss"]["verdict"] == "no difference"
    assert "auc" not in found["click"]


def test_a_table_wider_than_the_terminal_has_what_differs_above_its_numbers():
    value = {"value": 0.7, "low": 0.65, "high": 0.75}
    reports = {
        name: {
            "config": {"model": {"name": name}},
            "model": name,
            "metrics": {"test": {"click": {"rows": 9, "auc": value}}},
        }
        for name in ("a" * 20, "b")
    }
    wide = comparison(reports, "test", Page(80, color=False, unicode=True)).splitlines()
    assert wide[2] == f"model={'a' * 20}  1     9     –          0.7000 [0.6500, 0.7500]"
    narrow = comparison(reports, "test", Page(60, color=False, unicode=True)).splitlines()
    assert narrow[1:4] == [
        "  runs  rows  positives  AUC",
        f"model={'a' * 20}",
        "  1     9     –          0.7000 [0.6500, 0.7500]",
    ]
