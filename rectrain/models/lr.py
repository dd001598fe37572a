"""Logistic regression: one weight a value.

Source: Richardson et al. 2007, "Predicting Clicks: Estimating the Click-Through Rate for New Ads".
"""

import keras

from rectrain.features.inputs import packed_inputs
from rectrain.features.linear import LinearTerms
from rectrain.models.outputs import single_label
from rectrain.schema import Schema


def build(schema: Schema) -> keras.Model:
    label = single_label(schema)
    batch = packed_inputs(schema, roles=())
    return keras.Model(batch, {label: LinearTerms(schema)(batch)}, name="lr")
