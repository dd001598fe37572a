"""What is learned: each task's label and loss.

A model may give auxiliary logits of a task besides its own: outputs named "<task>/<anything>". They are trained on the
same label with the same weight, as Pi et al. 2020 (arXiv:2006.05639, section 3.1) do, and never scored.
"""

from dataclasses import dataclass

import tensorflow as tf

from rectrain.schema import Schema


@dataclass(frozen=True)
class Task:
    name: str  # key of the model's outputs
    column: int  # of the packed labels


def from_schema(schema: Schema) -> list[Task]:
    """One task a label."""
    return [Task(name, column) for column, name in enumerate(schema.labels)]


def loss_sum(tasks: list[Task], logits: dict, labels, weight):
    """Weighted binary cross-entropy, summed over examples, tasks and their auxiliary logits.

    Args:
        logits: task name, or "<task>/<anything>" -> float32 (B,).  labels: float32 (B, K), 0 or 1.
        weight: float32 (B,).
    Returns:
        float32 scalar; divide by the global batch size for the loss.
    """
    columns = {task.name: task.column for task in tasks}
    losses = [
        tf.nn.sigmoid_cross_entropy_with_logits(labels=labels[:, _column(columns, name)], logits=logit)
        for name, logit in logits.items()
    ]
    return tf.reduce_sum(tf.add_n(losses) * weight)


def _column(columns: dict[str, int], output: str) -> int:
    return columns[output] if output in columns else columns[output.rpartition("/")[0]]
