"""Activations of hidden units, by name."""

import keras

from rectrain.errors import InputError, did_you_mean
from rectrain.layers.dice import Dice

NAMES = ("relu", "prelu", "dice", "sigmoid")


def activation_layer(kind: str, *, key: str, name: str) -> keras.layers.Layer:
    """A layer float (N, D) -> (N, D).

    Source: PReLU, x for x > 0, else alpha * x with an alpha of each unit that starts at .25: He et al. 2015,
        arXiv:1502.01852. Dice: see dice.py.
    Args:
        kind: relu, prelu, dice or sigmoid.
        key: of the config that chose it.
    Raises:
        InputError: there is no such activation.
    """
    if kind not in NAMES:
        raise InputError(f"model.{key}={kind!r} is unknown.{did_you_mean(kind, NAMES)}")
    if kind == "dice":
        return Dice(name=name)
    if kind == "prelu":
        return keras.layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25), name=name)
    return keras.layers.Activation(kind, name=name)
