"""Checkpoints are whole or absent, keep the best, and give back what was saved."""

import json

import numpy as np
import pytest
import tensorflow as tf

from rectrain.errors import InputError
from rectrain.training.checkpoint import Checkpoints


@pytest.fixture
def variables():
    return {
        "model/linear/table": tf.Variable([1.0, 2.0, 3.0]),
        "optimizer/all/iterations": tf.Variable(7, dtype=tf.int64),
    }


def test_restore_gives_back_every_variable(tmp_path, variables):
    checkpoints = Checkpoints(tmp_path / "checkpoints", variables, keep=2)
    checkpoints.save(5, {"fixed": {}}, best=5)
    variables["model/linear/table"].assign([0.0, 0.0, 0.0])
    variables["optimizer/all/iterations"].assign(9)
    Checkpoints(tmp_path / "checkpoints", variables, keep=2).restore(5)
    np.testing.assert_array_equal(variables["model/linear/table"], [1, 2, 3])
    assert int(variables["optimizer/all/iterations"]) == 7
    assert json.loads((tmp_path / "checkpoints/step-00000005/state.json").read_text()) == {
        "fixed": {},
        "step": 5,
        "best": 5,
    }


def test_the_newest_and_the_best_are_kept(tmp_path, variables):
    checkpoints = Checkpoints(tmp_path, variables, keep=2)
    for step in range(1, 6):
        checkpoints.save(step, {}, best=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["index.json", *(f"step-{s:08d}" for s in (2, 4, 5))]
    assert json.loads((tmp_path / "index.json").read_text()) == {"steps": [2, 4, 5], "best": 2}


def test_a_failed_save_leaves_the_earlier_ones_and_says_so(tmp_path, variables, monkeypatch):
    checkpoints = Checkpoints(tmp_path, variables, keep=2)
    checkpoints.save(1, {}, best=1)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints._checkpoint, "write", full)
    with pytest.raises(InputError, match=r"checkpoint of step 2 under .*No space left on device\. Earlier checkpoints"):
        checkpoints.save(2, {}, best=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["index.json", "step-00000001"]
    assert json.loads((tmp_path / "index.json").read_text())["best"] == 1


def test_a_variable_of_another_shape_is_not_restored_silently(tmp_path, variables):
    Checkpoints(tmp_path, variables, keep=1).save(1, {}, best=1)
    other = variables | {"model/deep/kernel": tf.Variable([1.0])}
    with pytest.raises(InputError, match="does not fit the model"):
        Checkpoints(tmp_path, other, keep=1).restore(1)
