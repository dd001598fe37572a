"""Configurations against each other on the same rows: kept scores, paired figures over seeds, and the gate."""

import csv
import json
import shutil

import numpy as np
import pytest
from scipy import stats

from rectrain.errors import InputError
from rectrain.evaluation.evaluate import Scored
from rectrain.evaluation.kept_scores import KeptScores, write_scores
from rectrain.evaluation.metrics import EPSILON, paired_auc_difference, paired_logloss_difference
from rectrain.evaluation.paired import differences, sides
from rectrain.evaluation.pairing import paired_with
from rectrain.tasks import Task
from tests.reference import metrics as twin
from tests.runs import make_run

CLICK = Task("click", "click", 0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run and the same with another seed, one that learned nothing, and one on other rows."""
    folder = tmp_path_factory.mktemp("runs")
    common = ["model=lr", "trainer.batch_size=256", "trainer.epochs=2"]
    for name, overrides in {
        "good": ["data.sample.rows=8000", "optimizer.learning_rate=1e-2"],
        "again": ["data.sample.rows=8000", "optimizer.learning_rate=1e-2", "seed=7"],
        "bad": ["data.sample.rows=8000", "trainer.max_steps=1"],
        "other": ["data.sample.rows=4000"],
    }.items():
        make_run(folder, *common, *overrides)
        (folder / "run").rename(folder / name)
    return folder


def report_of(folder):
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


# The gate


def test_the_gate_closes_on_a_run_that_is_worse_than_the_baseline(rectrain, runs):
    asked = [f"runs=[{runs}/good,{runs}/bad]", "fail_if_worse=true"]
    code, out, err = rectrain("compare", *asked, f"baseline={runs}/good")
    assert code == 3
    assert f"worse than baseline={runs}/good on test: " in err
    assert "is worse by" in out
    code, out, err = rectrain("compare", *asked, f"baseline={runs}/bad")
    assert code == 0, err
    assert "is better by" in out


def test_a_run_of_the_same_config_is_held_to_the_baseline_too(rectrain, runs, tmp_path):
    shutil.copytree(runs / "good", tmp_path / "new")
    asked = [f"runs=[{tmp_path}/new]", f"baseline={runs}/good", "fail_if_worse=true"]
    code, out, err = rectrain("compare", *asked)
    assert code == 0, err
    assert "lr cannot be told apart in AUC (+0.00000, 95 % +0.00000 to +0.00000)" in " ".join(out.split())
    scores = KeptScores(tmp_path / "new/scores-test.parquet", ["click"])
    labels, values = scores.of(CLICK)
    write_scores(scores.path, Scored(labels[:, None], {"click": 1 - values}, None), ["click"])
    assert rectrain("compare", *asked)[0] == 3


def test_seeds_are_one_configuration_and_the_intervals_say_so(rectrain, runs, tmp_path):
    asked = [f"runs=[{runs}/good,{runs}/again,{runs}/bad]", f"output={tmp_path}/board.html"]
    code, _, err = rectrain("compare", *asked)
    assert code == 0, err
    with (tmp_path / "board.csv").open(encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert (first["seeds"], second["seeds"]) == ("2026 7", "2026")
    aucs = [report_of(runs / name)["metrics"]["test"]["click"]["auc"]["value"] for name in ("good", "again", "bad")]
    assert float(second["test click.auc against the best difference"]) == pytest.approx(
        aucs[2] - np.mean(aucs[:2]), rel=1e-5
    )


# Runs that cannot be paired


def test_runs_on_other_rows_are_not_paired_and_told_by_which_key(rectrain, runs):
    asked = [f"runs=[{runs}/other]", f"baseline={runs}/good"]
    code, out, err = rectrain("compare", *asked)
    assert code == 0, err
    said = " ".join(out.split())
    assert "is not paired: other prepared data: sources.0.path=" in said
    assert "criteo-4000-" in said
    code, _, err = rectrain("compare", *asked, "fail_if_worse=true")
    assert code == 2
    assert "cannot be held to the baseline" in err


def test_the_first_key_of_the_prepared_data_that_differs_is_named(rectrain, runs, tmp_path, monkeypatch):
    ours = [report_of(runs / name) for name in ("good", "good")]
    for i, min_count in enumerate((2, 5)):
        folder = tmp_path / f"shop-{i}"
        folder.mkdir()
        key = {"name": "shop", "features": [["numbers", {"min_count": min_count}], ["texts", {"min_count": 1}]]}
        (folder / "manifest.json").write_text(json.dumps({"key": key}))
        ours[i]["data"]["manifest"] = str(folder / "manifest.json")
    (found,) = paired_with({str(runs / "good"): ours[0]}, [{str(runs / "good"): ours[1]}], "test")
    assert found == "other prepared data: features.numbers.min_count=5, not 2"
    (tmp_path / "shop-0/manifest.json").unlink()
    (found,) = paired_with({str(runs / "good"): ours[0]}, [{str(runs / "good"): ours[1]}], "test")
    assert found == "other prepared data: shop-1, not shop-0"


def test_runs_without_scores_or_with_other_labels_are_not_paired(runs, tmp_path):
    for name in ("ours", "theirs"):
        shutil.copytree(runs / "good", tmp_path / name)
    sides_of = [{str(tmp_path / name): report_of(tmp_path / name)} for name in ("ours", "theirs")]
    path = tmp_path / "ours/scores-test.parquet"
    labels, values = KeptScores(path, ["click"]).of(CLICK)
    labels = np.where(np.arange(len(labels)) == 5, 1 - labels, labels)
    write_scores(path, Scored(labels[:, None], {"click": values}, None), ["click"])
    (found,) = paired_with(sides_of[1], sides_of[:1], "test")
    assert found.startswith("other rows: the labels of click in ")
    path.write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"scores-test\.parquet is missing or damaged"):
        paired_with(sides_of[1], sides_of[:1], "test")
    path.unlink()
    (found,) = paired_with(sides_of[1], sides_of[:1], "test")
    assert found == f"{tmp_path}/ours keeps no scores of test (scores-test.parquet)"


def test_tasks_that_one_of_them_has_not_are_left_out(runs, tmp_path):
    shutil.copytree(runs / "good", tmp_path / "run")
    own = report_of(tmp_path / "run")
    own["config"]["task"]["tasks"] = {"other": {"label": "click"}}
    scores = KeptScores(tmp_path / "run/scores-test.parquet", ["click"])
    labels, values = scores.of(CLICK)
    write_scores(scores.path, Scored(labels[:, None], {"other": values}, None), ["click"])
    (found,) = paired_with({str(runs / "good"): report_of(runs / "good")}, [{str(tmp_path / "run"): own}], "test")
    assert found == {}


# Kept scores


def test_kept_scores_are_those_of_the_report(runs):
    for split in ("valid", "test"):
        labels, scores = KeptScores(runs / f"good/scores-{split}.parquet", ["click"]).of(CLICK)
        entry = report_of(runs / "good")["metrics"][split]["click"]
        assert (len(labels), labels.sum()) == (entry["rows"], entry["positives"])
        assert twin.auc(labels, scores) == pytest.approx(entry["auc"]["value"], abs=1e-12)
    assert not (runs / "good/scores-train.parquet").exists()


def test_kept_scores_come_back_bit_for_bit_and_of_the_rows_that_count(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (101, 3)).astype(np.float32)
    scored = Scored(labels, {name: rng.random(101).astype(np.float32) for name in ("ctr", "cvr")}, None)
    write_scores(tmp_path / "scores.parquet", scored, ["click", "view", "buy"])
    kept = KeptScores(tmp_path / "scores.parquet", ["click", "view", "buy"])
    for task in (Task("ctr", "click", 0), Task("cvr", "buy", 2, given=0)):
        for found, expected in zip(kept.of(task), scored.of(task), strict=True):
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, expected)


# Differences


def sides_of(labels, *scores, task=CLICK):
    return sides(task, [Scored(labels[:, None], {"click": values.astype(np.float32)}, None) for values in scores])


def several(seed, num_rows=130, num_runs=5):
    rng = np.random.default_rng(seed)
    labels = (rng.random(num_rows) < 0.3).astype(np.float32)
    signal = labels + rng.normal(size=num_rows)
    scores = [1 / (1 + np.exp(1 - signal - 0.5 * rng.normal(size=num_rows))) for _ in range(num_runs)]
    return labels, [values.astype(np.float32) for values in scores]


def test_of_one_run_each_the_difference_is_paired_delong():
    labels, (a, b, *_) = several(1, num_rows=4000)
    found = differences(sides_of(labels, a), sides_of(labels, b), labels, 0.95)
    for metric, compute in (("auc", paired_auc_difference), ("logloss", paired_logloss_difference)):
        expected = compute(labels, a, b)
        assert found[metric]["difference"] == pytest.approx(expected.difference)
        assert found[metric]["low"] == pytest.approx(expected.low, rel=2e-3)
        assert found[metric]["high"] == pytest.approx(expected.high, rel=2e-3)


def test_over_seeds_the_spread_is_that_of_rows_and_of_seeds():
    """Against loops: DeLong's covariance of all five AUCs, the seeds' variances, Satterthwaite's degrees of freedom."""
    labels, scores = several(2)
    ours, theirs = scores[:2], scores[2:]
    found = differences(sides_of(labels, *ours), sides_of(labels, *theirs), labels, 0.99)["auc"]
    aucs = np.array([twin.auc(labels, s) for s in scores])
    weights = np.array([1 / 2, 1 / 2, -1 / 3, -1 / 3, -1 / 3])
    assert found["difference"] == pytest.approx(weights @ aucs)
    parts = [np.array(p) for p in zip(*(twin.structural_components(labels, s) for s in scores), strict=True)]
    terms = [((weights @ part).var(ddof=1) / part.shape[1], part.shape[1] - 1) for part in parts]
    assert sum(v for v, _ in terms) == pytest.approx(weights @ twin.delong_covariance(labels, *scores) @ weights)
    terms += [(aucs[:2].var(ddof=1) / 2, 1), (aucs[2:].var(ddof=1) / 3, 2)]
    total = sum(v for v, _ in terms)
    half = stats.t.ppf(0.995, total**2 / sum(v**2 / f for v, f in terms)) * total**0.5
    assert found["high"] - found["low"] == pytest.approx(2 * half, rel=1e-3)


def test_seeds_of_the_one_stand_for_those_of_the_other():
    labels, scores = several(3)
    found = differences(sides_of(labels, *scores[:4]), sides_of(labels, scores[4]), labels, 0.95)["logloss"]
    losses = np.array([twin.row_losses(labels, s, EPSILON) for s in scores])
    rows = losses[:4].mean(axis=0) - losses[4]
    seeds = losses[:4].mean(axis=1).var(ddof=1)
    terms = [(rows.var(ddof=1) / len(rows), len(rows) - 1), (seeds / 4, 3), (seeds, 3)]
    total = sum(v for v, _ in terms)
    half = stats.t.ppf(0.975, total**2 / sum(v**2 / f for v, f in terms)) * total**0.5
    assert found["high"] - found["low"] == pytest.approx(2 * half, rel=1e-3)


def test_intervals_cover_what_other_rows_and_other_seeds_change():
    """Two configurations that are equally good: of 95 % intervals at least 90 % know nothing better."""
    rng, told = np.random.default_rng(4), 0
    for _ in range(150):
        labels = (rng.random(600) < 0.3).astype(np.float32)
        shared = rng.normal(size=600)
        runs = [
            labels * (1 + 0.3 * rng.normal()) + shared + 0.5 * rng.normal(size=600) for _ in range(6)
        ]  # each seed learned the signal more or less well
        a, b = (sides_of(labels, *(1 / (1 + np.exp(-r)) for r in side)) for side in (runs[:3], runs[3:]))
        told += differences(a, b, labels, 0.95)["auc"]["verdict"] != "no difference"
    assert told <= 15


def test_all_comparisons_hold_together(runs):
    """With three others each interval is as wide as one of 98.3 %."""
    good, bad = ({str(runs / name): report_of(runs / name)} for name in ("good", "bad"))
    (alone,) = paired_with(good, [bad], "test")
    three = paired_with(good, [bad, bad, bad], "test")
    width = {
        key: found["click"]["auc"]["high"] - found["click"]["auc"]["low"]
        for key, found in (("1", alone), ("3", three[0]))
    }
    expected = stats.norm.ppf(1 - 0.05 / 6) / stats.norm.ppf(0.975)
    assert width["3"] / width["1"] == pytest.approx(expected, rel=2e-3)


def test_differences_are_of_the_rows_that_count_and_have_the_sign_of_the_metric():
    rng = np.random.default_rng(4)
    click = rng.integers(0, 2, 2000).astype(np.float32)
    buy = click * rng.integers(0, 2, 2000)
    labels = np.stack([click, buy, rng.normal(size=2000)], axis=1).astype(np.float32)
    cvr, price = Task("cvr", "buy", 1, given=0), Task("price", "price", 2, is_number=True)
    good = np.clip(0.5 + 0.3 * (click - 0.5) + 0.2 * rng.normal(size=2000), 0.01, 0.99)
    noise = rng.uniform(0.2, 0.8, 2000)
    ours = Scored(labels, {"click": good, "cvr": noise, "price": labels[:, 2] + 0.1}, None)
    theirs = Scored(labels, {"click": noise, "cvr": noise[::-1], "price": labels[:, 2] + 0.2}, None)

    def compared(task):
        return differences(sides(task, [ours]), sides(task, [theirs]), ours.of(task)[0], 0.95)

    found = compared(CLICK)
    assert found["auc"]["difference"] == paired_auc_difference(click, good, noise).difference
    assert found["auc"]["verdict"] == found["logloss"]["verdict"] == "better"
    counted = click == 1
    of_cvr = paired_auc_difference(buy[counted], noise[counted], noise[::-1][counted])
    assert compared(cvr)["auc"]["difference"] == pytest.approx(of_cvr.difference)
    assert compared(price)["mse"]["difference"] == pytest.approx(0.01 - 0.04, abs=1e-6)
    assert compared(price)["mse"]["verdict"] == "better"


def test_rows_of_one_class_have_no_auc_to_compare_and_one_row_nothing():
    labels = np.ones(5, np.float32)
    found = sides_of(labels, np.linspace(0.1, 0.9, 5))
    assert set(found) == {"logloss"}
    assert differences(found, found, labels, 0.95)["logloss"]["verdict"] == "no difference"
    number = Task("click", "click", 0, is_number=True)
    assert sides_of(labels[:1], labels[:1], task=number) == {}
