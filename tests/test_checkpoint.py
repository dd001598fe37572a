"""Checkpoints are whole or absent, keep the best, and give back what was saved."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rectrain.console import open_terminal
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

    monkeypatch.setattr(checkpoints._files, "write", full)
    with pytest.raises(InputError, match=r"checkpoint of step 2 under .*No space left on device\. Earlier checkpoints"):
        checkpoints.save(2, {}, best=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["index.json", "step-00000001"]
    assert json.loads((tmp_path / "index.json").read_text())["best"] == 1


def test_a_variable_of_another_shape_is_not_restored_silently(tmp_path, variables):
    Checkpoints(tmp_path, variables, keep=1).save(1, {}, best=1)
    other = variables | {"model/deep/kernel": tf.Variable([1.0])}
    with pytest.raises(InputError, match="does not fit the model"):
        Checkpoints(tmp_path, other, keep=1).restore(1)


# Going on


def saved(folder, variables, *steps, best):
    """Checkpoints whose table holds the step."""
    checkpoints = Checkpoints(folder, variables, keep=5)
    for step in steps:
        variables["model/linear/table"].assign([step, step, step])
        checkpoints.save(step, {"fixed": {"seed": 1}}, best=best.get(step))
    return Checkpoints(folder, variables, keep=5)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


FILES = ("variables.index", "variables.data-00000-of-00001", "state.json", "checksums.json")


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path, variables, capsys, file, damage):
    open_terminal()
    checkpoints = saved(tmp_path, variables, 3, 6, best={3: 3, 6: 3})
    damage(tmp_path / "step-00000006" / file)
    assert checkpoints.restore_newest({"seed": 1})["step"] == 3
    np.testing.assert_array_equal(variables["model/linear/table"], [3, 3, 3])
    (line,) = capsys.readouterr().out.splitlines()
    assert "step-00000006 is damaged" in line
    checkpoints.save(4, {"fixed": {}}, best=3)
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-00000003", "step-00000004"]


def test_a_damaged_best_checkpoint_takes_those_along_that_need_it(tmp_path, variables):
    checkpoints = saved(tmp_path, variables, 3, 6, 9, best={3: 3, 6: 6, 9: 6})
    flip(tmp_path / "step-00000006" / FILES[1])
    with pytest.raises(
        InputError, match=r"step-00000006 is damaged \(variables.data-00000-of-00001: not as written\)\. The run"
    ):
        checkpoints.restore(6)
    assert checkpoints.restore_newest({"seed": 1})["step"] == 3


def test_without_a_whole_checkpoint_there_is_none_and_its_leavings_can_be_cleared(tmp_path, variables):
    assert Checkpoints(tmp_path / "new", variables, keep=1).restore_newest({}) is None
    checkpoints = saved(tmp_path, variables, 3, best={})
    (tmp_path / "step-00000003/state.json").unlink()
    (tmp_path / ".saving-x").mkdir()
    (tmp_path / "step-00000003 of mine").mkdir()
    assert checkpoints.restore_newest({"seed": 1}) is None
    checkpoints.clear()
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000003 of mine"]


def test_what_was_learned_with_other_values_is_refused(tmp_path, variables):
    checkpoints = saved(tmp_path, variables, 3, best={})
    with pytest.raises(InputError, match=r"seed=2: .*step-00000003 was learned with seed=1\."):
        checkpoints.restore_newest({"seed": 2})


def test_a_process_that_died_before_it_wrote_the_index_leaves_a_checkpoint_that_counts(tmp_path, variables):
    checkpoints = saved(tmp_path, variables, 3, 6, best={3: 3, 6: 6})
    (tmp_path / "index.json").write_text(json.dumps({"steps": [3], "best": 3}))
    assert checkpoints.restore_newest({"seed": 1})["step"] == 6
    assert json.loads((tmp_path / "index.json").read_text()) == {"steps": [3, 6], "best": 6}


def test_a_step_that_is_saved_again_is_whole_at_each_moment(tmp_path, variables, monkeypatch):
    """As a run does that was stopped in front of an evaluation."""
    for dies_at in ("before", "between", "after"):
        folder = tmp_path / dies_at
        checkpoints = saved(folder, variables, 3, best={})
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", dying(Path.rename, ("before", "between", "after").index(dies_at)))
            with pytest.raises(KeyboardInterrupt):
                checkpoints.save(3, {"fixed": {"seed": 1}}, best=3)
        found = Checkpoints(folder, variables, keep=1)
        assert found.restore_newest({"seed": 1})["best"] == (3 if dies_at == "after" else None)
        found.save(3, {"fixed": {}}, best=3)
        assert sorted(p.name for p in folder.iterdir()) == ["index.json", "step-00000003"]


def dying(rename, after):
    """`rename` that is cut short when so many have been done."""
    names = []

    def dies(*args):
        if len(names) == after:
            raise KeyboardInterrupt
        names.append(rename(*args))
        if len(names) == after == 2:
            raise KeyboardInterrupt
        return names[-1]

    return dies
