"""strategy=multi_worker on two processes makes the steps of strategy=one."""

import functools
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rectrain.config import StrategyConfig
from rectrain.data.row_groups import share
from rectrain.training import strategy as strategies
from tests.clusters import RECTRAIN, addresses, ended, outputs, start
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
    cluster = {"worker": addresses(WORKERS)}
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/{i}.npz" for i in range(WORKERS)]
        codes = [
            f"from tests.test_multi_worker import save_learned; save_learned({file!r}, {cases!r}, {i})"
            for i, file in enumerate(files)
        ]
        with ended([start(cluster, "worker", i, "-c", code, cwd=ROOT) for i, code in enumerate(codes)]) as processes:
            for code, text in outputs(processes, 900):
                assert code == 0, text
        return [_by_case(np.load(file)) for file in files]


def _by_case(arrays) -> dict:
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


def run_workers(folder: Path, *overrides: str) -> list[tuple[int, str]]:
    cluster = {"worker": addresses(WORKERS)}
    words = (*RECTRAIN, *RUN, "strategy=multi_worker", "strategy.communication=ring", *overrides)
    with ended([start(cluster, "worker", i, *words, cwd=folder) for i in range(WORKERS)]) as processes:
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
