"""The leaderboard: what is a configuration, means over seeds, the order, the page, the table and the csv."""

import csv
import json
import statistics
import xml.etree.ElementTree as ET

import pytest
from scipy import stats

from rectrain.outputs.comparison import comparison, how, short_names
from rectrain.outputs.configurations import configurations
from rectrain.outputs.leaderboard import Spread, board, higher_is_better, spread, to_csv
from rectrain.outputs.leaderboard_page import leaderboard_page
from rectrain.outputs.summary import Page
from rectrain.outputs.verdict import sentences


def report(seed, auc, valid=0.7, model="dcn", status="done", monitor="click.auc", **settings):
    """A run's; keys of `settings` with __ for points stand below model, others of `config` as they are."""
    entry = {"rows": 1000, "positives": 250, "auc": {"value": auc, "low": auc - 0.01, "high": auc + 0.01}}
    more = settings.pop("config", {})
    history = [{"step": step, "valid": {"click": {"auc": valid - 0.1 / step}}} for step in (5, 10)]
    return {
        "status": status,
        "model": model,
        "seed": seed,
        "config": {"seed": seed, "model": {"name": model, **settings}, "task": {"tasks": None}, **more},
        "data": {"name": "shop", "source": "files", "manifest": "prepared/shop-1/manifest.json"},
        "metrics": {"test": {"click": entry}},
        "best": {"step": 10, "metric": monitor, "value": valid},
        "history": history,
        "seconds": {"train": 10.0 * seed, "total": 20.0 * seed},
        "throughput": {"train_rows_per_s": 1000.0},
        "parameters": {"total": 1234},
        "memory": {"peak_rss_bytes": 2**30},
    }


def write(folder, found):
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(found), encoding="utf-8")


def lines_of(found):
    return list(csv.DictReader(to_csv(found).splitlines()))


# What is a configuration


def test_runs_that_differ_in_the_seed_alone_are_one_configuration():
    runs = {"a": report(1, 0.7), "b": report(2, 0.7), "c": report(1, 0.7, model="fm")}
    found = configurations(runs)
    assert [(list(c.runs), c.words) for c in found] == [(["a", "b"], "model=dcn"), (["c"], "model=fm")]


def test_settings_of_one_model_set_its_runs_apart_beside_other_models():
    """dcn and fm have each its own width; only that of dcn is swept."""
    runs = {
        "a": report(1, 0.7, embedding_dim=4, depth=2),
        "b": report(1, 0.7, embedding_dim=8, depth=2),
        "c": report(1, 0.7, model="fm", embedding_dim=16),
    }
    found = configurations(runs)
    assert [c.words for c in found] == [
        "model=dcn model.embedding_dim=4",
        "model=dcn model.embedding_dim=8",
        "model=fm model.embedding_dim=16",
    ]


def test_what_decides_no_number_sets_no_runs_apart_and_what_decides_does():
    free = {"data": {"prepared_dir": "x"}, "trainer": {"keep_checkpoints": 1, "epochs": 2}}
    other = {"data": {"prepared_dir": "y"}, "trainer": {"keep_checkpoints": 3, "epochs": 2}, "expect": {"value": 0.7}}
    assert len(configurations({"a": report(1, 0.7, config=free), "b": report(2, 0.7, config=other)})) == 1
    longer = {**free, "trainer": {"keep_checkpoints": 1, "epochs": 3}}
    found = configurations({"a": report(1, 0.7, config=free), "b": report(2, 0.7, config=longer)})
    assert [c.words for c in found] == ["trainer.epochs=2", "trainer.epochs=3"]
    weights = [{"task": {"tasks": {"click": {"weight": weight}}}} for weight in (0.5, 1.0)]
    found = configurations({str(i): report(1, 0.7, config=config) for i, config in enumerate(weights)})
    assert [c.words for c in found] == ["task.tasks.click.weight=0.5", "task.tasks.click.weight=1.0"]


def test_the_baseline_stands_apart_though_its_config_is_the_same():
    found = configurations({"new": report(1, 0.7)}, {"old": report(1, 0.7)})
    assert [(c.words, c.is_baseline) for c in found] == [("dcn", False), ("baseline dcn", True)]


def test_numbers_that_a_search_drew_are_short_in_words_and_whole_in_the_csv():
    runs = {"a": report(1, 0.7, dropout=0.27327444861474, width=12345.0), "b": report(1, 0.7, dropout=0.1, width=1e-6)}
    found = board(runs, {}, {}, "test")
    assert [line.configuration.words for line in found.lines] == [
        "model.dropout=0.2733 model.width=1.234e+04",
        "model.dropout=0.1 model.width=1e-06",
    ]
    assert [line["model.dropout"] for line in lines_of(found)] == ["0.27327444861474", "0.1"]


def test_short_names_stay_apart():
    assert short_names(["model", "optimizer.learning_rate"]) == ["model", "learning_rate"]
    assert short_names(["optimizer.wide.alpha", "optimizer.deep.alpha"]) == [
        "optimizer.wide.alpha",
        "optimizer.deep.alpha",
    ]


# Figures


def test_a_spread_over_seeds_has_students_interval_and_one_run_its_own():
    values = [0.70, 0.72, 0.75]
    found = spread([{"value": value, "low": 0.1, "high": 0.9} for value in values])
    half = stats.t.ppf(0.975, 2) * statistics.stdev(values) / 3**0.5
    assert found.mean == pytest.approx(statistics.mean(values))
    assert found.sd == pytest.approx(statistics.stdev(values))
    assert (found.low, found.high) == (pytest.approx(found.mean - half), pytest.approx(found.mean + half))
    assert spread([{"value": 0.7, "low": 0.6, "high": 0.8}, {"value": None}]) == Spread(0.7, None, 0.6, 0.8)
    assert spread([{"value": None}]) is None


def test_the_order_is_that_of_validation_and_test_chooses_nothing():
    runs = {
        "a": report(1, 0.99, valid=0.70, width=1),
        "b": report(1, 0.50, valid=0.74, width=2),
        "c": report(2, 0.52, valid=0.76, width=2),
    }
    found = board(runs, {}, {}, "test")
    first, second = lines_of(found)
    assert (first["rank"], first["model.width"], first["runs"], first["seeds"]) == ("1", "2", "2", "1 2")
    assert float(first["valid click.auc mean"]) == pytest.approx(0.75)
    assert float(first["test click.auc mean"]) == pytest.approx(0.51)
    assert (second["test click.auc low"], second["test click.auc high"]) == ("0.98", "1")
    assert (first["train_seconds"], first["parameters"], first["peak_rss_bytes"]) == ("15.0", "1234", str(2**30))
    assert "Chosen on validation: in the order of click.auc. Reported on the test split, which chose nothing" in how(
        found
    )


@pytest.mark.parametrize(
    ("monitor", "values", "best"),
    [("click.logloss", (0.5, 0.4), "b"), ("mean auc of a, b", (0.5, 0.4), "a"), ("click.pcoc", (1.3, 0.9), "b")],
)
def test_better_is_what_the_monitor_means_by_it(monitor, values, best):
    runs = {name: report(1, 0.7, valid=v, monitor=monitor, width=v) for name, v in zip("ab", values, strict=True)}
    assert list(board(runs, {}, {}, "test").lines[0].configuration.runs) == [best]
    assert higher_is_better("mean auc of a, b") is True


def test_runs_that_were_chosen_by_different_metrics_keep_their_order():
    runs = {"a": report(1, 0.7, valid=0.1, width=1), "b": report(1, 0.7, valid=0.9, monitor="click.gauc", width=2)}
    found = board(runs, {}, {}, "test")
    assert [list(line.configuration.runs) for line in found.lines] == [["a"], ["b"]]
    assert "no validation metric has chosen all of them" in how(found)
    assert "Effect of each setting" not in leaderboard_page(found)


# Words, terminal and page

WORSE = {"difference": -0.0021, "low": -0.0033, "high": -0.0009, "verdict": "worse"}
SAME = {"difference": 0.0003, "low": -0.0009, "high": 0.0015, "verdict": "no difference"}


@pytest.fixture
def compared():
    runs = {
        f"{width}/{seed}": report(seed, 0.7, valid=0.8 - width / 100, width=width)
        for width in (1, 2, 3)
        for seed in (1, 2)
    }
    runs["2/1"]["throughput"] = {"train_rows_per_s": 430.0}
    failed = {"sweep/9": {"status": "failed", "error": "<bad>\nlines", "overrides": ["model.width=x", "seed=1"]}}
    failed["sweep/8"] = {"status": "stopped", "error": "pruned: at evaluation 3", "overrides": ["model.width=9"]}
    found = board(runs, {}, failed, "test")
    return found.compared([{"click": {"auc": WORSE, "logloss": SAME}}, "other prepared data: name=a, not b"])


def test_verdicts_are_words_with_their_intervals(compared):
    assert sentences(compared) == [
        "model.width=2 is worse by 0.0021 AUC, 95 % 0.0009 to 0.0033, cannot be told apart in logloss (+0.00030, 95 % "
        "-0.00090 to +0.00150); slower by 1.4x",
        "model.width=3 is not paired: other prepared data: name=a, not b",
    ]


def test_the_terminal_shows_what_fits_it(compared):
    wide = comparison(compared, Page(100, False, True))
    assert "   width  runs  valid click.auc  AUC\n1  1      2     0.7900 ± 0.0000" in wide
    assert "Against model.width=1, row by row on test\n" in wide
    assert "\nnot done\nsweep/9 model.width=x seed=1 (failed): <bad> lines\n" in wide
    assert "\npruned\nsweep/8 model.width=9: at evaluation 3\n" in wide
    for width in (40, 60, 80):
        for line in comparison(compared, Page(width, False, False)).splitlines():
            assert len(line) <= max(width, 75), line
            assert line.isascii()


def test_the_page_is_well_formed_and_shows_all(compared):
    page = leaderboard_page(compared)
    tree = ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    told = " ".join(tree.itertext())
    for words in (
        "3 configurations, 6 runs on shop",
        "Known to differ from model.width=1 in AUC: 1 of 1.",
        "-0.0021",
        "not paired",
        "Effect of each setting",
        "Validation AUC, click",
        "<bad> lines",
        "1.0 GiB",
        "2/1",
    ):
        assert words in told, words
    assert "script" not in page
    dots = [node for node in tree.iter("circle") if node.get("class") == "dot c1 quiet"]
    assert len(dots) == 3


def test_a_run_of_one_evaluation_is_a_dot_in_the_curves():
    runs = {name: report(1, 0.7, model=name) for name in ("dcn", "fm")}
    for run in runs.values():
        del run["history"][1:]
    page = ET.fromstring(leaderboard_page(board(runs, {}, {}, "test")).removeprefix("<!DOCTYPE html>\n"))
    dots = [node.get("class") for node in page.iter("circle")]
    assert {"dot c1 whole", "dot c2 whole"} <= set(dots)


def test_the_csv_has_one_line_a_configuration_and_the_differences(compared):
    first, second, third, failed, pruned = lines_of(compared)
    assert first["test click.auc against the best difference"] == ""
    assert second["test click.auc against the best low"] == "-0.0033"
    assert second["test click.auc against the best verdict"] == "worse"
    assert third["not paired"] == "other prepared data: name=a, not b"
    assert [line["folders"] for line in (first, second, third)] == ["1/1 1/2", "2/1 2/2", "3/1 3/2"]
    assert [line["not done"] for line in (first, second, third)] == ["", "", ""]
    assert [failed[key] for key in ("rank", "model.width", "runs", "folders")] == ["", "x", "0", "sweep/9"]
    assert failed["not done"] == "failed: <bad> lines"
    assert (pruned["model.width"], pruned["not done"]) == ("9", "pruned: at evaluation 3")


# The command


def test_runs_are_compared_by_what_differs_and_over_seeds(rectrain, tmp_path):
    for number, (seed, auc) in enumerate([(1, 0.70), (2, 0.72)]):
        write(tmp_path / f"sweep/{number}", report(seed, auc, num_crosses=3))
    write(tmp_path / "sweep/10", report(1, 0.75, model="fm", embedding_dim=4, valid=0.6))
    write(tmp_path / "sweep/11", report(1, 0.75, model="fm", embedding_dim=4, status="failed"))
    (tmp_path / "sweep/12").mkdir()
    (tmp_path / "sweep/12/config.yaml").write_text("seed: 1\ntrainer: {}\n")
    code, out, err = rectrain("compare", f"runs=[{tmp_path}/sweep]", "output=board.html")
    assert code == 0, err
    table = out.split("click on test\n")[1].splitlines()[:3]
    assert [line.split() for line in table] == [
        ["model", "runs", "valid", "click.auc", "AUC"],
        ["1", "dcn", "2", "0.7000", "±", "0.0000", "0.7100", "±", "0.0141"],
        ["2", "fm", "1", "0.6000", "0.7500", "[0.7400,", "0.7600]"],
    ]
    told = " ".join(out.split())
    assert f"{tmp_path}/sweep/11 (failed)" in told
    assert f"{tmp_path}/sweep/12 (no report)" in told
    assert "keeps no scores of test (scores-test.parquet)" in told
    assert len((tmp_path / "board.csv").read_text().splitlines()) == 5
    ET.fromstring((tmp_path / "board.html").read_text(encoding="utf-8").removeprefix("<!DOCTYPE html>\n"))


def test_a_split_that_all_have_scored_is_reported(rectrain, tmp_path):
    found = report(1, 0.7)
    found["metrics"] = {"valid": found["metrics"]["test"]}
    write(tmp_path / "run", found)
    code, out, _ = rectrain("compare", f"runs=[{tmp_path}/run]")
    assert code == 0
    assert "click on valid" in out
    assert "those of the best flatter it" in " ".join(out.split())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "runs=null: expected folders of runs or sweeps"),
        (["runs=[nowhere]"], "nowhere is no folder of a run or a sweep"),
        (["runs=[RUN]", "split=valid"], "has not scored it, only test"),
        (["runs=[RUN]", "splt=valid"], "Did you mean 'split'?"),
        (["runs=[CUT]"], "report.json is not whole"),
        (["runs=[BARE]"], "is no report of a run: it has no config and metrics"),
        (["runs=[RUN]", "output=board.csv"], "expected a file of .html"),
        (["runs=[RUN]", "output=/nowhere/board.html"], "output=/nowhere/board.html: cannot write there"),
        (["runs=[FAILED]"], "none of them is done"),
        (["runs=[RUN]", "baseline=FAILED"], "is not done (failed)"),
        (["runs=[RUN]", "baseline=TWO"], "holds several configurations"),
        (["runs=[RUN]", "fail_if_worse=true"], "fail_if_worse=true needs a run to compare with: set baseline=DIR"),
        (["runs=[RUN]", "baseline=nowhere"], "nowhere is no folder of a run"),
        (["runs=[RUN]", "baseline=OTHER", "fail_if_worse=true"], "model=dcn cannot be held to the baseline"),
        (["runs=[RUN,FAILED]", "baseline=OTHER", "fail_if_worse=true"], "failed, model=dcn cannot be held"),
    ],
)
def test_what_cannot_be_compared_is_said(rectrain, tmp_path, overrides, message):
    write(tmp_path / "run", report(1, 0.7))
    write(tmp_path / "other", report(1, 0.7, model="fm"))
    write(tmp_path / "cut", report(1, 0.7))
    (tmp_path / "cut/report.json").write_text('{"status": ', encoding="utf-8")
    write(tmp_path / "failed", report(1, 0.7, status="failed"))
    write(tmp_path / "bare", {"status": "done"})
    for width in (1, 2):
        write(tmp_path / f"two/{width}", report(1, 0.7, width=width))
    words = [o.replace(n.upper(), str(tmp_path / n)) for o in overrides for n in ["run"]]
    for name in ("cut", "bare", "failed", "two", "other"):
        words = [word.replace(name.upper(), str(tmp_path / name)) for word in words]
    code, _, err = rectrain("compare", *words)
    assert code == 2
    assert message in err
