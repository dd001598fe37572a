"""What is learned: each task's label and loss."""

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
    """Weighted binary cross-entropy, summed over examples and tasks.

    Args:
        logits: task name -> float32 (B,).  labels: float32 (B, K), 0 or 1.  weight: float32 (B,).
    Returns:
        float32 scalar; divide by the global batch size for the loss.
    """
    losses = [
        tf.nn.sigmoid_cross_entropy_with_logits(labels=labels[:, task.column], logits=logits[task.name])
        for task in tasks
    ]
    return tf.reduce_sum(tf.add_n(losses) * weight)
