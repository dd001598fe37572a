"""A SavedModel that takes raw named columns and needs nothing but TensorFlow to run.

<folder>/saved_model/1/    what TensorFlow Serving loads with --model_base_path=<folder>/saved_model
<folder>/request.json      a request to its REST API
"""

import contextlib
import json
import keyword
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import tensorflow as tf

from rectrain.errors import CANNOT_WRITE, InputError, first_line
from rectrain.export.raw_batch import RawBatch
from rectrain.export.request import example_request
from rectrain.run_dir import write_whole

SIGNATURE = "serving_default"


class _Served(tf.Module):
    """raw columns -> {task: float32 (B,)}."""

    def __init__(self, raw: RawBatch, score: Callable[[dict], dict], state: list):
        super().__init__()
        self._state = [raw.vocabularies, *state]  # tracked, so that it is saved
        names = input_names(raw.columns.signature)

        def serve(**columns):
            return score(raw({name: columns[served] for name, served in names.items()}))

        specs = {served: raw.columns.signature[name] for name, served in names.items()}
        self.signature = tf.function(serve, autograph=False).get_concrete_function(**specs)


def input_names(columns: Iterable[str]) -> dict[str, str]:
    """What inputs are called: as the column where that is a name in Python, else like it.

    `user id` is user_id, and 101 is column_101: TensorFlow passes inputs by keyword.

    Raises:
        InputError: two would have one name.
    """
    names: dict[str, str] = {}
    for column in columns:
        name = re.sub(r"[^A-Za-z0-9_]", "_", column)
        name = name if name.isidentifier() and not keyword.iskeyword(name) and name[0] != "_" else f"column_{name}"
        if name in names.values():
            raise InputError(f"two inputs of the exported model would be called {name!r}. Rename column {column!r}.")
        names[column] = name
    return names


def write_saved_model(folder: Path, raw: RawBatch, score: Callable[[dict], dict], state: list) -> Path:
    """Writes model and request; what was there before stays until both are whole.

    Args:
        score: packed batch -> {task: float32 (B,)}, as a graph.  state: its variables, or modules that hold them.
    Returns:
        the folder of the model.
    Raises:
        InputError: the folder cannot be written.
    """
    model = folder / "saved_model" / "1"
    with explained(folder):
        served = _Served(raw, score, state)
        model.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".saving-", dir=folder))
        try:
            tf.saved_model.save(served, str(aside / "1"), signatures={SIGNATURE: served.signature})
            write_whole(
                folder / "request.json", json.dumps(example_request(raw, input_names(raw.columns.signature)), indent=1)
            )
            shutil.rmtree(model, ignore_errors=True)
            (aside / "1").rename(model)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return model


def write_whole_file(path: Path, write: Callable[[Path], object]):
    """`write` fills a file beside `path`, which then takes its place.

    Raises:
        InputError: the folder cannot be written.
    """
    aside = path.with_name(f".part-{path.name}")  # the suffix stays: Keras looks at it
    with explained(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(aside)
            aside.replace(path)
        finally:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)


@contextlib.contextmanager
def explained(folder: Path):
    """OSError and TensorFlow's errors of writing, in words."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        why = CANNOT_WRITE.get(getattr(error, "errno", None) or 0, first_line(error))
        raise InputError(f"output={folder} cannot be written: {why}. Name another folder with output=DIR.") from error
