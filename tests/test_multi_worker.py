"""strategy=multi_worker on two processes makes the steps of strategy=one."""

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.csv as pacsv
import pytest
import tensorflow as tf

from rectrain.cluster import free_addresses
from rectrain.config import StrategyConfig
from rectrain.data.row_groups import share
from rectrain.training import strategy as strategies
from tests.clusters import RECTRAIN, ended, outputs, start
from tests.test_mirrored import CASES, NUM_STEPS, ROOT, assert_close, learned, learned_by

WORKERS = 2
RUN = (
    "model=deepfm", "data.sample.rows=3000", "trainer.batch_size=250", "trainer.epochs=2", "model.hidden_units=[8]",
    "hydra.run.dir=run", "trainer.shuffle_rows=700", "data.split.train=0.81", "data.split.valid=0.09",
)  # fmt: skip


def save_learned(file: str, cases: tuple[str, ...], position: int):
    """Runs in a process of a cluster."""
    strategy = strategies.create(StrategyConfig("multi_worker", communication="ring", wait_s=60))
    strategies.create = lambda _: strategy  # TensorFlow joins a cluster once

    def here(dataset):
        return dataset.map(lambda batch: {name: _share(column, position) for name, column in batch.items()})

    arrays = {}
    for case in cases:
        arrays |= {f"{case}:{name}": value for name, value in learned(case, 1, here).items()}
    np.savez(file, **arrays)


def _share(column, position: int):
    rows = tf.shape(column)[0]
    return column[position * rows // WORKERS : (position + 1) * rows // WORKERS]


@functools.cache
def learned_by_workers(cases: tuple[str, ...]) -> list[dict]:
    """For each process {case: {name: array}}."""
    cluster = {"worker": free_addresses(WORKERS)}
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/{i}.npz" for i in range(WORKERS)]
        codes = [
            f"from tests.test_multi_worker import save_learned; save_learned({file!r}, {cases!r}, {i})"
            for i, file in enumerate(files)
        ]
        with ended([start(cluster, "worker", i, "-c", code, cwd=ROOT) for i, code in enumerate(codes)]) as processes:
            for code, text in outputs(processes, 900):
                assert code == 0, text
        return [by_case(np.load(file)) for file in files]


def by_case(arrays) -> dict:
    """{case: {name: array}} of arrays called case:name."""
    found: dict = {}
    for key, value in arrays.items():
        case, name = key.split(":", 1)
        found.setdefault(case, {})[name] = value
    return found


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_processes_learn_what_one_learns_and_the_same(case):
    of_workers = learned_by_workers(tuple(CASES))
    expected = learned_by(tuple(CASES), (1,))[case, 0]
    assert len(expected["losses"]) == NUM_STEPS
    assert_close(of_workers[0][case], expected)
    for name, value in of_workers[1][case].items():
        np.testing.assert_array_equal(value, of_workers[0][case][name], err_msg=name)


def test_shares_of_a_batch_are_those_of_the_readers():
    column = np.arange(11)
    for position in range(WORKERS):
        np.testing.assert_array_equal(_share(column, position), column[share(11, WORKERS, position)])


def workers(folder: Path, *overrides: str, differing: tuple[str, ...] = ()) -> list[subprocess.Popen]:
    """Two started processes; the second one has some words more."""
    cluster = {"worker": free_addresses(WORKERS)}
    words = (*RECTRAIN, *RUN, "strategy=multi_worker", "strategy.communication=ring", *overrides)
    more = ((), differing)
    return [start(cluster, "worker", i, *words, *more[i], cwd=folder) for i in range(WORKERS)]


def run_workers(folder: Path, *overrides: str, differing: tuple[str, ...] = ()) -> list[tuple[int, str]]:
    with ended(workers(folder, *overrides, differing=differing)) as processes:
        return outputs(processes)


def report(folder: Path) -> dict:
    return json.loads((folder / "run/report.json").read_text(encoding="utf-8"))


def test_a_run_of_two_processes_is_that_of_one_with_two_readers(rectrain, tmp_path):
    (code, told), (follower_code, follower) = run_workers(tmp_path)
    assert code == 0, told
    assert follower_code == 0, follower
    assert "trains along" in follower
    assert "valid click AUC" not in follower
    theirs = report(tmp_path)
    assert theirs["replicas"] == WORKERS
    (tmp_path / "run").rename(tmp_path / "of-workers")

    code, _, err = rectrain(*RUN, "strategy=one", "trainer.readers=2")
    assert code == 0, err
    ours = report(tmp_path)
    np.testing.assert_allclose([x for _, x in theirs["losses"]], [x for _, x in ours["losses"]], rtol=1e-5)
    for split in ("valid", "test"):
        assert theirs["metrics"][split]["click"]["rows"] == ours["metrics"][split]["click"]["rows"]
        for metric in ("auc", "logloss"):
            mine, other = (r["metrics"][split]["click"][metric] for r in (ours, theirs))
            np.testing.assert_allclose(other["value"], mine["value"], atol=1e-4, err_msg=metric)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_where_a_process_is_killed_the_other_says_so_and_all_go_on_together(tmp_path, killed):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    long = ("trainer.epochs=8", "trainer.patience=null", "trainer.steps_per_call=2", "trainer.save_every_s=0")
    for code, text in run_workers(whole, *long):
        assert code == 0, text
    with ended(workers(broken, *long)) as processes:
        _wait_for(lambda: list((broken / "run/checkpoints").glob("step-*")), processes)
        processes[killed].kill()
        started = time.monotonic()
        other = processes[1 - killed]
        text, _ = other.communicate(timeout=60)
        assert time.monotonic() - started < 45
    assert other.returncode == 2, text
    assert f"worker {killed} (127.0.0.1:" in text
    assert "is gone" in text
    if killed == 1:
        assert report(broken)["status"] == "failed"
    for code, text in run_workers(broken, *long, "resume=true"):
        assert code == 0, text
    assert report(broken)["resumed"] == 1
    assert report(broken)["weights_sha256"] == report(whole)["weights_sha256"]


def _wait_for(condition, processes: list[subprocess.Popen], timeout_s: float = 120):
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until
        assert all(process.poll() is None for process in processes), outputs(processes)
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("signalled", [0, 1])
def test_a_signal_to_one_process_stops_all_after_saving(tmp_path, signalled):
    long = ("trainer.epochs=100", "trainer.patience=null", "trainer.steps_per_call=2", "trainer.eval_every_steps=500")
    with ended(workers(tmp_path, *long)) as processes:
        _wait_for((tmp_path / "run/train.log").exists, processes)
        time.sleep(5)
        processes[signalled].send_signal(signal.SIGTERM)
        found = outputs(processes, 60)
    for code, text in found:
        assert code == 143, text
    assert report(tmp_path)["status"] == "stopped"
    assert "is saved" in report(tmp_path)["error"]


@pytest.mark.slow
def test_another_config_and_other_data_are_refused_at_the_start_by_name(tmp_path):
    for differing, message in (
        (("seed=7",), "worker 1 .* has seed=7, and worker 0 .*, the chief, has seed=2026"),
        (("data.sample.seed=5",), "worker 1 .* has data.sample.seed=5, and worker 0 .*, the chief"),
    ):
        for code, text in run_workers(tmp_path, differing=differing):
            assert code == 2
            assert re.search(message, text), text
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The folder above a run of one device."""
    folder = tmp_path_factory.mktemp("trained")
    command = [sys.executable, *RECTRAIN, *RUN, "trainer.readers=2", "strategy=one", "trainer.keep_checkpoints=5"]
    subprocess.run(command, cwd=folder, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return folder


def assert_same_metrics(found: dict, expected: dict):
    for name, value in expected.items():
        if isinstance(value, dict) and value["value"] is not None:
            np.testing.assert_allclose(found[name]["value"], value["value"], rtol=1e-5, err_msg=name)
        elif not isinstance(value, dict):
            assert found[name] == value


@pytest.mark.slow
def test_two_processes_or_replicas_evaluate_what_one_does(trained):
    expected = report(trained)["metrics"]["test"]["click"]
    cluster = {"worker": free_addresses(WORKERS)}
    words = (
        *RECTRAIN,
        "evaluate",
        "run=run",
        "checkpoint=[best,10]",
        "output=by-workers.json",
        "strategy=multi_worker",
    )
    with ended([start(cluster, "worker", i, *words, cwd=trained) for i in range(WORKERS)]) as processes:
        for code, text in outputs(processes):
            assert code == 0, text
    words = (
        *RECTRAIN,
        "evaluate",
        "run=run",
        "output=by-replicas.json",
        "strategy=mirrored",
        "strategy.cpu_replicas=3",
    )
    subprocess.run([sys.executable, *words], cwd=trained, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    for name in ("by-workers", "by-replicas"):
        found = json.loads((trained / f"{name}.json").read_text(encoding="utf-8"))
        assert_same_metrics(found["metrics"]["test"]["click"], expected)
        assert len(found["checkpoints"]) == (2 if name == "by-workers" else 1)


@pytest.mark.slow
def test_three_processes_predict_what_one_does_each_row_once(trained):
    raw = (ROOT / "data/tiny/criteo_tiny.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    (trained / "two.tsv").write_text("".join(raw[:2]), encoding="utf-8")  # fewer rows than processes
    words = (*RECTRAIN, "predict", "run=run", f"input=[{ROOT}/data/tiny/criteo_tiny.tsv,two.tsv]", "predict.keep=[C1]")
    cluster = {"worker": free_addresses(3)}
    several = (*words, "output=several.csv", "strategy=multi_worker")
    with ended([start(cluster, "worker", i, *several, cwd=trained) for i in range(3)]) as processes:
        for code, text in outputs(processes):
            assert code == 0, text
    alone = [sys.executable, *words, "output=alone.csv"]
    subprocess.run(alone, cwd=trained, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    found, expected = (pacsv.read_csv(trained / name) for name in ("several.csv", "alone.csv"))
    assert found.num_rows == len(raw) + 2
    assert found["C1"] == expected["C1"]
    np.testing.assert_allclose(found["score_click"], expected["score_click"], rtol=1e-6)
    assert {path.name for path in trained.glob("*several*")} == {"several.csv"}


@pytest.mark.slow
def test_a_run_of_one_device_goes_on_with_two_processes(trained):
    before = report(trained)
    shutil.copytree(trained / "run", trained / "again")
    (trained / "again/report.json").unlink()
    *_, last = sorted((trained / "again/checkpoints").glob("step-*"))
    shutil.rmtree(last)
    words = ("trainer.readers=2", "trainer.keep_checkpoints=5", "hydra.run.dir=again", "resume=true")
    for code, text in run_workers(trained, *words):
        assert code == 0, text
    after = json.loads((trained / "again/report.json").read_text(encoding="utf-8"))
    assert (before["resumed"], after["resumed"]) == (0, 1)
    np.testing.assert_allclose([x for _, x in after["losses"]], [x for _, x in before["losses"]], rtol=1e-5)
    assert_same_metrics(after["metrics"]["test"]["click"], before["metrics"]["test"]["click"])


@pytest.mark.parametrize("word", ["input=x.csv", "explain=2", "evaluate.by=[C1]", "evaluate.importance=1"])
def test_what_needs_all_rows_is_refused(rectrain, word):
    code, _, err = rectrain("evaluate", "run=run", "strategy=multi_worker", word)
    assert code == 2
    assert "with strategy=multi_worker each process scores a part of a split" in err
    code, _, err = rectrain("bench", "strategy=multi_worker")
    assert "strategy=multi_worker: rectrain bench measures one process" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trainer.readers=600"], r"trainer.batch_size=512: each of the 600 readers \(trainer.readers\) gives a batch"),
        (
            ["strategy=one", "+strategy.wait_s=5"],
            "strategy.wait_s goes with strategy=multi_worker and parameter_server, and with no other; received",
        ),
        (["strategy=multi_worker", "strategy.wait_s=null"], "strategy.wait_s goes with strategy=multi_worker"),
    ],
)
def test_settings_that_do_not_fit_are_told_by_their_keys(rectrain, words, message):
    code, _, err = rectrain(*words, "data.sample.rows=2000")
    assert code == 2
    assert re.search(message, err), err


@pytest.mark.parametrize("strategy", ["multi_worker", "parameter_server"])
def test_a_sweep_is_of_one_process(rectrain, strategy):
    code, _, err = rectrain("-m", "seed=1,2", f"strategy={strategy}")
    assert code == 2
    assert f"strategy={strategy}: a process joins a cluster once" in err
