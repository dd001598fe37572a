"""What is learned: each task's label, who counts for it, and its loss.

A model may give auxiliary logits of a task besides its own: outputs named "<task>/<anything>". They are trained on the
same label with the same weight, as Pi et al. 2020 (arXiv:2006.05639, section 3.1) do, and never scored.
"""

from dataclasses import dataclass

from rectrain.config import TaskConfig, TasksConfig
from rectrain.errors import InputError, did_you_mean
from rectrain.schema import Schema


@dataclass(frozen=True)
class Task:
    name: str  # key of the model's outputs
    label: str
    column: int  # of the packed labels
    given: int | None = None  # column of the label that is 1 in the rows that count; None: all rows count
    weight: float = 1.0  # of its loss; 0: scored, not trained on
    is_number: bool = False  # the label is a number: squared error on the output itself, instead of cross-entropy
    metrics: tuple[str, ...] | None = None  # that are computed; None: all there are


def from_schema(schema: Schema) -> list[Task]:
    """One task a label."""
    return [
        Task(name, name, column, is_number=name in schema.number_labels) for column, name in enumerate(schema.labels)
    ]


def from_config(config: TasksConfig, schema: Schema) -> list[Task]:
    """The tasks of the section `task`, in its order; without any, one a label of the dataset.

    Raises:
        InputError: a task's label is none of the dataset's, does not fit its loss, or no task is trained.
    """
    if config.tasks is None:
        tasks = from_schema(schema)
    else:
        tasks = [_task(name, task, schema) for name, task in config.tasks.items()]
    tasks = _chosen(tasks, config.only)
    if not any(task.weight for task in tasks):
        raise InputError("task.tasks: every weight is 0, so nothing would be trained. Give one of the tasks a weight.")
    return tasks


def _task(name: str, config: TaskConfig, schema: Schema) -> Task:
    key = f"task.tasks.{name}"
    label = name if config.label is None else config.label
    is_number = label in schema.number_labels
    task = Task(
        name=name,
        label=label,
        column=_column(label, schema, f"{key}.label"),
        given=None if config.given is None else _column(config.given, schema, f"{key}.given"),
        weight=config.weight,
        is_number=is_number,
        metrics=None if config.metrics is None else tuple(config.metrics),
    )
    fitting = "mean_squared_error" if is_number else "binary_crossentropy"
    if config.loss not in (None, fitting):
        raise InputError(
            f"{key}.loss={config.loss}: label {label!r} is {'a number' if is_number else '0 or 1'}, whose loss is "
            f"{fitting}. Leave the key out, or change data.labels.{label}."
        )
    if config.given is not None and config.given in schema.number_labels:
        raise InputError(f"{key}.given={config.given}: that label is a number; expected one of 0 and 1.")
    return task


def _column(label: str, schema: Schema, key: str) -> int:
    if label not in schema.labels:
        raise InputError(
            f"{key}={label}: dataset {schema.name!r} has no such label; it has {', '.join(schema.labels)}."
            f"{did_you_mean(label, schema.labels)} Choose another task=<file>, or set the key."
        )
    return schema.labels.index(label)


def _chosen(tasks: list[Task], only: list[str] | None) -> list[Task]:
    if only is None:
        return tasks
    known = [task.name for task in tasks]
    for name in only:
        if name not in known:
            raise InputError(
                f"task.only={only}: there is no task {name!r}; there are {', '.join(known)}.{did_you_mean(name, known)}"
            )
    return [task for task in tasks if task.name in only]
