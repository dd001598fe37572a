"""What every single-task model says about its one output."""

from rectrain.errors import InputError
from rectrain.tasks import Task


def single_task(tasks: list[Task]) -> str:
    """The name of the only task.

    Raises:
        InputError: there are several, so the user must choose.
    """
    names = [task.name for task in tasks]
    if len(names) != 1:
        raise InputError(
            f"this model learns one task; there are {len(names)}: {', '.join(names)}. Choose one with "
            f"task.only=[{names[0]}], or a model of several tasks, as model=mmoe."
        )
    return names[0]
