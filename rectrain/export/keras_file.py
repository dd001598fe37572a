"""A model as a .keras file, from the packed batch to logits: for those who go on with it in Python."""

import importlib
import pkgutil
from pathlib import Path

import keras

from rectrain.training.precision import float32_layers
from rectrain.training.steps import Steps

ROOMS = ("rectrain.features", "rectrain.layers")


def write(steps: Steps, path: Path):
    with float32_layers(steps.model):
        steps.model.save(path)


def load(path: str | Path) -> keras.Model:
    """The model of a file that `rectrain export export.formats=[keras]` wrote: {task: float (B,) logits} of a batch.

    Only layers of Keras and of this project are made; nothing in the file is code.
    """
    return keras.saving.load_model(path, custom_objects=_layers(), compile=False, safe_mode=True)


def _layers() -> dict[str, type]:
    """All layers of the project by their names."""
    found: dict[str, type] = {}
    for room in ROOMS:
        for module in pkgutil.iter_modules(importlib.import_module(room).__path__, f"{room}."):
            members = vars(importlib.import_module(module.name))
            found |= {
                name: member
                for name, member in members.items()
                if isinstance(member, type)
                and issubclass(member, keras.layers.Layer)
                and member.__module__ == module.name
            }
    return found
