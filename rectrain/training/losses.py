"""The loss of a batch over all tasks. Shape letters: B rows, K labels."""

import tensorflow as tf

from rectrain.tasks import Task


def loss_sum(tasks: list[Task], logits: dict, labels, weight):
    """Losses of the rows that count, weighted, summed over examples, tasks and their auxiliary logits.

    Args:
        logits: task name, or "<task>/<anything>" -> float32 (B,); the prediction itself where the label is a number.
        labels: float32 (B, K).  weight: float32 (B,).
    Returns:
        float32 scalar; divide by the global batch size for the loss.
    """
    by_name = {task.name: task for task in tasks}
    losses = []
    for name, logit in logits.items():
        task = by_name[name] if name in by_name else by_name[name.rpartition("/")[0]]
        if task.weight:
            losses.append(task.weight * _row_losses(task, logit, labels))
    return tf.reduce_sum(tf.add_n(losses) * weight)


def _row_losses(task: Task, logit, labels):
    """float32 (B,); 0 in rows that do not count."""
    label = labels[:, task.column]
    if task.is_number:
        losses = tf.math.squared_difference(logit, label)
    else:
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=label, logits=logit)
    return losses if task.given is None else losses * labels[:, task.given]
