"""The part of a multi-task model that each task has for itself."""

import keras

from rectrain.layers.mlp import MLP, Logit
from rectrain.tasks import Task


def tower(task: Task, x, *, units: list[int], dropout: float):
    """float32 (B,): the logit of a task from its input x, float (B, D); without units a linear map.

    Towers are narrow. With weights of any sign above 8 ReLUs one run in ten ends with a broken tower (docs/LOG.md).
    """
    if units:
        x = MLP(units, dropout=dropout, batch_norm=False, name=f"tower_{task.name}")(x)
    return Logit(alternating=bool(units), name=f"logit_{task.name}")(x)


def towers(tasks: list[Task], inputs: list, *, units: list[int], dropout: float) -> dict[str, keras.KerasTensor]:
    """{task: logit} from the input of each task."""
    return {task.name: tower(task, x, units=units, dropout=dropout) for task, x in zip(tasks, inputs, strict=True)}
