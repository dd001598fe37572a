"""Training in bfloat16, everything else in float32.

Weights are float32 under both; only the arithmetic of the layers differs.
"""

import contextlib

import keras


@contextlib.contextmanager
def default_policy(precision: str):
    """Layers made inside compute in `precision`: float32 or bfloat16."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextlib.contextmanager
def float32_layers(model: keras.Model):
    """The layers of `model` compute in float32 inside: what is traced there evaluates exactly."""
    layers = list(model._flatten_layers())
    before = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = "float32"
    try:
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy
