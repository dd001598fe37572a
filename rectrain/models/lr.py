"""Logistic regression: one weight a value.

Source: Richardson et al. 2007, "Predicting Clicks: Estimating the Click-Through Rate for New Ads".
"""

import keras

from rectrain.features.inputs import packed_inputs
from rectrain.features.linear import LinearTerms
from rectrain.models.outputs import single_task
from rectrain.schema import Schema
from rectrain.tasks import Task


def build(schema: Schema, tasks: list[Task]) -> keras.Model:
    task = single_task(tasks)
    batch = packed_inputs(schema, roles=())
    return keras.Model(batch, {task: LinearTerms(schema)(batch)}, name="lr")
