"""Checkpoints: every variable by name, written aside and renamed, with checksums.

checkpoints/step-00000120/variables.*      tf.train.Checkpoint of {name: variable}
checkpoints/step-00000120/state.json       the loop's plain values, and what decided them
checkpoints/step-00000120/checksums.json   see checksums.py
checkpoints/index.json                     {"steps": [...], "best": step}, replaced after each save

A folder that has its name is whole, whenever the process was killed; index.json is for those who look from outside.
"""

import contextlib
import json
import re
import shutil
import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from rectrain.config import NumRows, parse
from rectrain.console import say
from rectrain.errors import InputError, first_line
from rectrain.plain_files import read_json
from rectrain.run_dir import to_disk, write_whole
from rectrain.same_config import check_same
from rectrain.training.checksums import check_whole, seal
from rectrain.training.variable_files import VariableFiles

_REPLACED = "-replaced"  # behind the name of a checkpoint that makes room for another one of its step
_NAME = re.compile(rf"step-(\d+)(?:{_REPLACED})?")


class Checkpoints:
    """Saves under `folder`; keeps the newest `keep` and the best.

    Args:
        writes: False: another process saves what this one knows too.
    """

    def __init__(self, folder: Path, variables: dict[str, tf.Variable], keep: int, *, writes: bool = True):
        self.folder = folder
        self.keep = keep
        self._writes = writes
        self.steps: list[int] = []  # that are kept, oldest first
        self._files = VariableFiles(variables)

    def save(self, step: int, state: dict, best: int | None):
        """Writes the variables as they are now.

        Args:
            state: plain values; "fixed" is what `restore_newest` compares.  best: step of the best checkpoint.
        Raises:
            InputError: the folder cannot be written, or the disk is full; earlier checkpoints stay as they are.
        """
        if not self._writes:
            return
        with self._told(step):
            self._write(step, json.dumps({**state, "step": step, "best": best}))
            self._note(step, best)

    @contextlib.contextmanager
    def _told(self, step: int):
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            raise InputError(
                f"cannot write the checkpoint of step {step} under {self.folder}: {first_line(error)} Earlier "
                "checkpoints are untouched. Free some space or choose another place with hydra.run.dir."
            ) from error

    def _write(self, step: int, state: str):
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".saving-", dir=self.folder))
        try:
            # Parameter servers write the parts of tables that they hold, wherever they were started.
            self._files.write(str(aside.resolve() / "variables"))
            (aside / "state.json").write_text(state, encoding="utf-8")
            seal(aside)
            _put(aside, place(self.folder, step))
            to_disk(self.folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _note(self, step: int, best: int | None):
        """Makes the saved `step` known in the index and removes what is no longer kept."""
        steps = sorted({*self.steps, step})
        self.steps = [s for s in steps if s in steps[-self.keep :] or s == best]
        write_whole(self.folder / "index.json", json.dumps({"steps": self.steps, "best": best}))
        self._remove_others()

    def _remove_others(self):
        """What is no longer kept, is damaged, or was left by a process that was killed."""
        kept = {place(self.folder, step) for step in self.steps}
        for path in (*_all(self.folder), *self.folder.glob(".saving-*")):
            if path not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def restore(self, step: int):
        """Sets every variable to its value at `step`.

        Raises:
            InputError: the checkpoint is damaged, or that of another model.
        """
        _check_whole(place(self.folder, step), "The run can go on from an earlier one with resume=true.")
        self._read(step)

    def _read(self, step: int):
        path = place(self.folder, step)
        try:
            self._files.read(str(path.resolve() / "variables"))
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise _does_not_fit(path, error) from error

    def restore_newest(self, fixed: dict) -> dict | None:
        """The state of the newest checkpoint that is whole, as is the best one that it knows; says which are damaged.

        Raises:
            InputError: it was learned with other values than `fixed`.
        """
        _put_back(self.folder)
        steps = sorted(_all(self.folder).values())
        while steps:
            try:
                state = self._whole_state(steps[-1])
            except InputError as error:
                say(f"{error} The one before it is used, if there is one.")
                steps.pop()
                continue
            check_same(state["fixed"], fixed, place(self.folder, steps[-1]))
            self._read(steps[-1])
            self.steps = steps
            with self._told(steps[-1]):  # the process may have died before it wrote the index
                self._note(steps[-1], state["best"])
            return state
        return None

    def _whole_state(self, step: int) -> dict:
        check_whole(place(self.folder, step))
        state = json.loads((place(self.folder, step) / "state.json").read_text(encoding="utf-8"))
        if state["best"] is not None:
            check_whole(place(self.folder, state["best"]))
        return state

    def clear(self):
        """Removes what a run left that came to no whole checkpoint."""
        (self.folder / "index.json").unlink(missing_ok=True)
        self._remove_others()


def _all(folder: Path) -> dict[Path, int]:
    """The checkpoints that are there, each with its step."""
    found = {path: _NAME.fullmatch(path.name) for path in folder.glob("step-*")}
    return {path: int(match[1]) for path, match in found.items() if match is not None}


def _put(aside: Path, path: Path):
    """Renames `aside` to `path`; what has that name gives way, and is there until the new one is."""
    replaced = path.with_name(path.name + _REPLACED)
    if path.exists():
        path.rename(replaced)
    aside.rename(path)
    shutil.rmtree(replaced, ignore_errors=True)


def _put_back(folder: Path):
    """Ends what `_put` began."""
    for replaced in folder.glob(f"step-*{_REPLACED}"):
        path = replaced.with_name(replaced.name.removesuffix(_REPLACED))
        if path.exists():
            shutil.rmtree(replaced)
        else:
            replaced.rename(path)


def read_index(folder: Path) -> tuple[list[int], int | None]:
    """Steps that are kept, oldest first, and the best of them; none where nothing was saved.

    Raises:
        InputError: the index is damaged.
    """
    index = folder / "index.json"
    if not index.exists():
        return [], None
    try:
        told = read_json(index)
        return parse(list[NumRows], told["steps"], "steps"), parse(NumRows | None, told["best"], "best")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{index} is damaged ({error}); expected the list of checkpoints that a run left.") from error


def restore_weights(folder: Path, step: int, model: keras.Model):
    """Sets the weights of a model, and no more, to those of a checkpoint.

    Raises:
        InputError: the checkpoint is damaged, or that of another model.
    """
    path = place(folder, step)
    _check_whole(path, "Choose another one with checkpoint=last or checkpoint=STEP.")
    read_weights(path, model)


def read_weights(path: Path, model: keras.Model):
    """The same of the variables in `path`, without looking at checksums.

    Raises:
        InputError: the checkpoint is damaged, or that of another model.
    """
    checkpoint = tf.train.Checkpoint(variables=weights_by_name(model))
    try:
        checkpoint.read(str(path / "variables")).assert_existing_objects_matched().expect_partial()
    except (AssertionError, LookupError, RuntimeError, ValueError, tf.errors.OpError) as error:
        raise _does_not_fit(path, error) from error


def _check_whole(path: Path, advice: str):
    try:
        check_whole(path)
    except InputError as error:
        raise InputError(f"{error} {advice}") from error


def _does_not_fit(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} does not fit the model of the run: {first_line(error)} Expected a checkpoint of it.")


def weights_by_name(model: keras.Model) -> dict[str, tf.Variable]:
    """All weights and other state of a model, under names that are the same in every process."""
    named = {f"model/{w.path}": w.value for w in model.variables}
    assert len(named) == len(model.variables), "two variables of one name"
    return named


def place(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"
