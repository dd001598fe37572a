"""The main job, end to end, on a small built-in sample."""

import gc
import json
import math
import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph

from rectrain.training.steps import Steps

FM = ("model=fm", "model.embedding_dim=4")
DEEP = ("model=dcn", "model.embedding_dim=4", "model.hidden_units=[8]")


def test_a_run_leaves_what_the_run_directory_promises(tiny_run, tmp_path):
    code, err, report = tiny_run("run", *DEEP, "trainer.epochs=2")
    assert code == 0, err
    folder = tmp_path / "run"
    for name in ("config.yaml", "schema.json", "metrics.jsonl", "report.html", "train.log", "checkpoints/index.json"):
        assert (folder / name).stat().st_size > 0, name
    assert list((folder / "tensorboard").glob("events*"))
    assert report["status"] == "done"
    assert report["error"] is None
    assert report["data"]["source"] == "sample"
    assert report["data"]["rows"] == {"train": 3200, "valid": 400, "test": 400}
    assert report["steps"] == 2 * math.ceil(3200 / 256)
    assert report["metrics"]["test"]["click"]["rows"] == 400
    auc = report["metrics"]["test"]["click"]["auc"]
    assert auc["low"] < auc["value"] < auc["high"]
    assert report["parameters"]["total"] == report["parameters"]["embedding"] + report["parameters"]["dense"]
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == len(report["history"]) == 2
    assert "built-in sample" in (folder / "report.html").read_text()
    assert sorted(path.name for path in folder.glob("scores-*")) == ["scores-test.parquet", "scores-valid.parquet"]


def test_same_seed_same_numbers_and_another_seed_others(tiny_run):
    hashes = [tiny_run(f"run{i}", *DEEP, f"seed={seed}")[2]["weights_sha256"] for i, seed in enumerate((5, 5, 6))]
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_report_is_that_of_the_best_checkpoint(tiny_run):
    """A rate so high that the model soon overfits: an early evaluation stays the best."""
    _, _, report = tiny_run("run", *DEEP, "trainer.epochs=20", "trainer.patience=3", "optimizer.learning_rate=0.03")
    values = [e["valid"]["click"]["auc"] for e in report["history"]]
    best = int(np.argmax(values))
    assert len(values) == best + 4
    assert "has not improved for 3 evaluations" in report["stopped_because"]
    assert report["best"] == {"step": report["history"][best]["step"], "metric": "click.auc", "value": values[best]}
    assert report["metrics"]["valid"]["click"]["auc"]["value"] == pytest.approx(values[best], abs=1e-12)


def test_a_plateau_cuts_the_rate_and_patience_counts_on(tiny_run):
    cut = "trainer.schedule.plateau_factor=0.1"
    _, _, report = tiny_run("run", *DEEP, "trainer.epochs=8", "optimizer.learning_rate=0.03", cut)
    values = [e["valid"]["click"]["auc"] for e in report["history"]]
    rates = [e["learning_rate"]["all"] for e in report["history"]]
    cuts = [i for i in range(1, len(rates)) if rates[i] != rates[i - 1]]
    assert cuts
    for i in cuts:
        assert values[i - 1] <= max(values[: i - 1])  # the evaluation before had no gain
        assert rates[i] == pytest.approx(rates[i - 1] / 10)


def test_evaluation_every_n_steps_and_max_steps(tiny_run):
    _, _, report = tiny_run("run", *FM, "trainer.epochs=3", "trainer.eval_every_steps=5", "trainer.max_steps=17")
    assert [e["step"] for e in report["history"]] == [5, 10, 15, 17]
    assert report["steps"] == 17
    assert report["stopped_because"] == "all steps done"


def test_without_a_validation_split_the_last_weights_count(tiny_run):
    code, err, report = tiny_run("run", *FM, "data.split.train=0.9", "data.split.valid=0")
    assert code == 0, err
    assert set(report["metrics"]) == {"test"}
    assert report["best"] is None


def test_bfloat16_trains_and_evaluates_in_float32(tiny_run):
    _, _, exact = tiny_run("float32", *DEEP)
    code, err, rough = tiny_run("bfloat16", *DEEP, "trainer.precision=bfloat16")
    assert code == 0, err
    assert rough["weights_sha256"] != exact["weights_sha256"]
    difference = (
        rough["metrics"]["test"]["click"]["logloss"]["value"] - exact["metrics"]["test"]["click"]["logloss"]["value"]
    )
    assert abs(difference) < 5e-3


@pytest.mark.parametrize("optimizer", ["lazy_adam", "adam", "adagrad", "sgd", "ftrl", "wide_ftrl"])
def test_every_optimizer_learns(tiny_run, optimizer):
    code, err, report = tiny_run(
        "run", "model=wide_deep", "model.hidden_units=[8]", f"optimizer={optimizer}", "data.crosses=[[C1,C2]]"
    )
    assert code == 0, err
    assert report["losses"][-1][1] < math.log(2)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(tiny_run, tmp_path):
    code, err, report = tiny_run(
        "run", *FM, "optimizer=sgd", "optimizer.learning_rate=30", "trainer.eval_every_steps=1", "trainer.patience=null"
    )
    assert code == 2
    assert "Traceback" not in err
    assert re.search(
        r"(the loss became (inf|nan)|the scores .* are not finite) at step \d+ \(epoch 1, rows [\d,]+-[\d,]+ of", err
    )
    assert "The checkpoint of step" in err
    assert report["status"] == "failed"
    assert report["error"] in err
    index = json.loads((tmp_path / "run/checkpoints/index.json").read_text())
    assert index["best"] in index["steps"]


def test_the_gate_of_expect_exits_3(tiny_run):
    code, err, report = tiny_run("run", *FM, "expect={metric:auc,value:0.99,tolerance:0.01}")
    assert code == 3
    assert "outside of expect.value 0.99 +- 0.01" in err
    assert report["status"] == "done"


def test_a_sweep_goes_on_past_a_job_that_fails_and_lists_it(rectrain, tmp_path):
    code, out, err = rectrain(
        "-m", *FM, "data.sample.rows=3000", "optimizer.learning_rate=1e-3,wrong,1e-2", "hydra.sweep.dir=sweep"
    )  # fmt: skip
    assert code == 2
    assert "optimizer.learning_rate='wrong': expected a number" in err
    reports = [json.loads((tmp_path / f"sweep/{i}/report.json").read_text()) for i in range(3)]
    assert [r["status"] for r in reports] == ["done", "failed", "done"]
    assert "optimizer.learning_rate='wrong'" in reports[1]["error"]
    assert "optimizer.learning_rate=wrong" in reports[1]["overrides"]
    assert f"{tmp_path}/sweep/1 model=fm" in " ".join(out.split("not done")[1].split())
    assert len((tmp_path / "sweep/leaderboard.csv").read_text().splitlines()) == 4
    assert "sweep/1</td>" in (tmp_path / "sweep/leaderboard.html").read_text()


def test_a_sweep_without_a_run_that_is_done_has_no_leaderboard(rectrain, tmp_path):
    code, out, _ = rectrain("-m", *FM, "optimizer.learning_rate=wrong", "seed=1,2", "hydra.sweep.dir=sweep")
    assert code == 2
    assert "no leaderboard: " in out
    assert not (tmp_path / "sweep/leaderboard.html").exists()


def test_jobs_of_a_sweep_equal_the_same_runs_alone_and_data_are_prepared_once(rectrain, tmp_path, tiny_run):
    """The last job follows another model and another seed in the same process."""
    settings = (*DEEP[1:], "model.dropout=0.3")
    options = ("data.sample.rows=4000", "trainer.batch_size=256", "hydra.sweep.dir=sweep")
    code, out, err = rectrain("-m", "model=deepfm,dcn", *settings, "seed=3,7", *options)
    assert code == 0, err
    last = json.loads((tmp_path / "sweep/3/report.json").read_text())
    assert last["command"].startswith("rectrain -m model=deepfm,dcn")
    (manifest,) = (tmp_path / "data/prepared").glob("*/manifest.json")
    assert manifest.stat().st_mtime_ns < (tmp_path / "sweep/0/config.yaml").stat().st_mtime_ns
    table = (tmp_path / "sweep/leaderboard.csv").read_text().splitlines()
    assert len(table) == 3
    assert "Against model=" in out
    _, _, alone = tiny_run("alone", "model=dcn", *settings, "seed=7")
    for key in ("weights_sha256", "losses", "metrics", "curves", "steps"):
        assert last[key] == alone[key], key


def test_a_job_leaves_no_model_behind_in_the_process(tiny_run):
    """Graphs of the model before the last one are gone, and the variables that they read."""
    for number in range(3):
        assert tiny_run(f"run{number}", *FM, "trainer.max_steps=2")[0] == 0
    gc.collect()
    name = Steps.train_steps.__name__
    graphs = [one for one in gc.get_objects() if isinstance(one, FuncGraph) and one.name == name]
    assert len(graphs) <= 1


def test_the_prepared_data_of_a_former_run_is_used_again(rectrain):
    arguments = ("prepare", "data.sample.rows=3000")
    assert "already prepared" not in rectrain(*arguments)[1]
    assert "already prepared" in rectrain(*arguments)[1]


def test_training_does_not_retrace_over_epochs_and_short_batches(tiny_run, monkeypatch):
    made = []
    init = Steps.__init__
    monkeypatch.setattr(Steps, "__init__", lambda self, *a, **k: (init(self, *a, **k), made.append(self))[0])
    tiny_run("run", *FM, "trainer.epochs=3", "trainer.patience=null", "trainer.eval_every_steps=5")
    assert made[0].train_steps.experimental_get_tracing_count() == 1
    assert isinstance(made[0].strategy, tf.distribute.OneDeviceStrategy)


def test_inner_steps_and_outer_calls_are_the_same_steps(tiny_run):
    hashes = {tiny_run(f"run{n}", *DEEP, f"trainer.steps_per_call={n}")[2]["weights_sha256"] for n in (1, 5, 100)}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["expect={metric:acu,value:0.8,tolerance:0.01}"], "expect.metric=acu: no such metric. Did you mean 'auc'?"),
        (["expect={metric:auc,value:0.8,tolerance:0.01}", "trainer.report_splits=[valid]"], "expect needs the metrics"),
        (["trainer.monitor=gauc"], "trainer.monitor=gauc: the dataset has no group column."),
        (["optimizer=ftrl", "trainer.schedule.plateau_factor=0.1"], "has no learning rate to cut"),
        (["optimizer=ftrl", "trainer.schedule.decay=linear"], "trainer.schedule.decay=linear: optimizer=ftrl sets"),
        (["model.embedding_dim=0"], "model.embedding_dim"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_step(tiny_run, tmp_path, overrides, message):
    code, err, report = tiny_run("run", *FM, *overrides)
    assert code == 2, err
    assert message in err
    assert report is None
    assert not (tmp_path / "run/config.yaml").exists()


def test_the_size_of_evaluation_batches_changes_no_figure(tiny_run):
    reports = [tiny_run(f"run{n}", *DEEP, "trainer.epochs=1", f"trainer.eval_batch_size={n}")[2] for n in (7, 4000)]
    assert reports[0]["weights_sha256"] == reports[1]["weights_sha256"]
    assert reports[0]["metrics"]["test"]["click"]["rows"] == reports[1]["metrics"]["test"]["click"]["rows"] == 400
    aucs = [r["metrics"]["test"]["click"]["auc"]["value"] for r in reports]
    assert aucs[0] == pytest.approx(aucs[1], abs=1e-4)


def test_keep_checkpoints_keeps_the_newest_and_the_best(tiny_run, tmp_path):
    _, _, report = tiny_run(
        "run", *FM, "trainer.epochs=1", "trainer.eval_every_steps=3", "trainer.keep_checkpoints=1",
        "trainer.patience=null",
    )  # fmt: skip
    steps = {report["history"][-1]["step"], report["best"]["step"]}
    kept = {p.name for p in (tmp_path / "run/checkpoints").glob("step-*")}
    assert len(report["history"]) > 2
    assert kept == {f"step-{step:08d}" for step in steps}


def test_plateau_patience_waits_before_it_cuts(tiny_run):
    overrides = ("trainer.epochs=9", "trainer.patience=null", "optimizer.learning_rate=0.03")
    cut = ("trainer.schedule.plateau_factor=0.1", "trainer.schedule.plateau_patience=3")
    _, _, report = tiny_run("run", *DEEP, *overrides, *cut)
    values = [e["valid"]["click"]["auc"] for e in report["history"]]
    rates = [e["learning_rate"]["all"] for e in report["history"]]
    first = next(i for i in range(1, len(rates)) if rates[i] != rates[i - 1])
    assert max(values[first - 3 : first]) <= max(values[: first - 3])  # three without gain came before the cut
    assert max(values[first - 4 : first - 3]) == max(values[: first - 3])  # and a gain before these


def test_the_shuffle_window_decides_the_order_of_rows(tiny_run, monkeypatch):
    from rectrain.training import trainer

    seen = []
    batches = trainer.batches
    monkeypatch.setattr(trainer, "batches", lambda *a, **k: (seen.append(a[3:]), batches(*a, **k))[1])
    tiny_run("run", *FM, "trainer.epochs=2", "trainer.shuffle_rows=17")
    shuffles = [rest[0] for rest in seen if rest[0] is not None]
    assert [(s.seed, s.epoch, s.window, s.num_epochs) for s in shuffles] == [(2026, 0, 17, 2)]
