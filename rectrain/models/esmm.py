"""Entire Space Multi-task Model: the conversion rate, learned over all impressions through clicks and conversions.

P(click and conversion | impression) = P(click | impression) P(conversion | click). The losses are on the first two; the
third, what is wanted, has no loss of its own and so no selection bias towards clicked rows.

Source: Ma et al. 2018, "Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion
Rate", arXiv:1804.07931.
"""

import keras

from rectrain.errors import InputError
from rectrain.features.embedding import flat_features
from rectrain.features.inputs import packed_inputs
from rectrain.layers.joint_logit import JointLogit
from rectrain.layers.towers import tower
from rectrain.schema import Schema
from rectrain.tasks import Task


def build(
    schema: Schema,
    tasks: list[Task],
    *,
    embedding_dim: int,
    embedding_stddev: float,
    tower_units: list[int],
    dropout: float,
) -> keras.Model:
    clicks, conversions, joint = _roles(tasks)
    batch = packed_inputs(schema)
    features = flat_features(schema, batch, width=embedding_dim, stddev=embedding_stddev)
    ctr, cvr = (tower(task, features, units=tower_units, dropout=dropout) for task in (clicks, conversions))
    ctcvr = JointLogit(name=f"logit_{joint.name}")(ctr, cvr)
    return keras.Model(batch, {clicks.name: ctr, conversions.name: cvr, joint.name: ctcvr}, name="esmm")


def _roles(tasks: list[Task]) -> tuple[Task, Task, Task]:
    """The tasks of clicks, of conversions given a click, and of conversions of impressions.

    Raises:
        InputError: the tasks are not these three, or conversions given a click are trained on.
    """
    given = [task for task in tasks if task.given is not None]
    clicks = [task for task in tasks if task.given is None and given and task.column == given[0].given]
    joint = [task for task in tasks if task.given is None and given and task.column == given[0].column]
    if not (len(tasks) == 3 and len(given) == len(clicks) == len(joint) == 1):
        raise InputError(
            "model=esmm learns three tasks: clicks, conversions given a click, and conversions of all rows; there are "
            f"{', '.join(task.name for task in tasks)}. Set task=funnel, and data.labels.click and "
            "data.labels.conversion to their columns."
        )
    if given[0].weight:
        raise InputError(
            f"model=esmm learns {given[0].name!r} through the two others, not from the rows where it counts. Set "
            f"task.tasks.{given[0].name}.weight=0.0."
        )
    return clicks[0], given[0], joint[0]
