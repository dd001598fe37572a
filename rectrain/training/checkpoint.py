"""Checkpoints: every variable by name, written aside and renamed.

checkpoints/step-00000120/variables.*   tf.train.Checkpoint of {name: variable}
checkpoints/step-00000120/state.json    the loop's plain values
checkpoints/index.json                  {"steps": [...], "best": step}, replaced after each save
"""

import json
import shutil
import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from rectrain.config import NumRows, parse
from rectrain.errors import InputError, first_line
from rectrain.plain_files import read_json
from rectrain.run_dir import write_whole


class Checkpoints:
    """Saves under `folder`; keeps the newest `keep` and the best."""

    def __init__(self, folder: Path, variables: dict[str, tf.Variable], keep: int):
        self.folder = folder
        self.keep = keep
        self.steps: list[int] = []
        self.best: int | None = None
        self._checkpoint = tf.train.Checkpoint(variables=variables)

    def save(self, step: int, state: dict, *, is_best: bool):
        """Writes the variables as they are now.

        Raises:
            InputError: the folder cannot be written, or the disk is full; earlier checkpoints stay as they are.
        """
        try:
            self._write(step, json.dumps(state, indent=1))
            self._note(step, is_best)
        except (OSError, tf.errors.OpError) as error:
            raise InputError(
                f"cannot write the checkpoint of step {step} under {self.folder}: {first_line(error)} Earlier "
                "checkpoints are untouched. Free some space or choose another place with hydra.run.dir."
            ) from error

    def _write(self, step: int, state: str):
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".saving-", dir=self.folder))
        try:
            self._checkpoint.write(str(aside / "variables"))
            (aside / "state.json").write_text(state, encoding="utf-8")
            aside.rename(place(self.folder, step))
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _note(self, step: int, is_best: bool):
        """Makes the saved `step` known in the index and removes what is no longer kept."""
        self.steps = [s for s in self.steps if s != step] + [step]
        self.best = step if is_best else self.best
        kept = {*self.steps[-self.keep :], self.best}
        dropped = [s for s in self.steps if s not in kept]
        self.steps = [s for s in self.steps if s in kept]
        write_whole(self.folder / "index.json", json.dumps({"steps": self.steps, "best": self.best}))
        for old in dropped:
            shutil.rmtree(place(self.folder, old), ignore_errors=True)

    def restore(self, step: int):
        """Sets every variable to its value at `step`."""
        self._checkpoint.read(str(place(self.folder, step) / "variables")).assert_consumed()


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


def restore_weights(path: Path, model: keras.Model):
    """Sets the weights of a model, and no more, to those of the checkpoint in `path`.

    Raises:
        InputError: the checkpoint is damaged, or that of another model.
    """
    checkpoint = tf.train.Checkpoint(variables=weights_by_name(model))
    try:
        checkpoint.read(str(path / "variables")).assert_existing_objects_matched().expect_partial()
    except (AssertionError, LookupError, RuntimeError, ValueError, tf.errors.OpError) as error:
        raise InputError(
            f"{path} does not fit the model of the run: {first_line(error)} Expected a whole checkpoint of it."
        ) from error


def weights_by_name(model: keras.Model) -> dict[str, tf.Variable]:
    """All weights and other state of a model, under names that are the same in every process."""
    return {f"model/{w.path}": w.value for w in model.variables}


def place(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"
