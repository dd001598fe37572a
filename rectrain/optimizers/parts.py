"""Tables in parts, each with its optimizer's slots on a parameter server of its own.

Only under ParameterServerStrategy a table has several parts; elsewhere it is one variable.
"""

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.distribute.sharded_variable import ShardedVariable  # not public, but what the strategy makes

_ROWS_AT_A_TIME = 65_536


class Held(keras.Variable):
    """The Keras variable around a tf.Variable, or around the parts of one, that is there already.

    Args:
        path: of the weight; None: the name within the scope of the layer that is being built.
    """

    def __init__(self, value, name: str, path: str | None = None):
        super().__init__(lambda: value, shape=tuple(value.shape), dtype=value.dtype.name, name=name)
        if path is not None:
            self._path = path

    def _initialize_with_initializer(self, initializer):
        self._value = initializer()


def num_servers() -> int:
    """Over how many servers a table made now is spread; 0: there are none, or it is made whole."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.experimental.ParameterServerStrategy):
        return 0
    return strategy.extended._num_ps


def num_workers() -> int:
    """How many move the weights of servers without waiting for each other; 0: there are no servers."""
    return tf.distribute.get_strategy().extended._num_workers if num_servers() else 0


def sharded(parts: list[tf.Variable], name: str):
    """One table of `parts`, in the order of their rows; a checkpoint holds it as one tensor."""
    return parts[0] if len(parts) == 1 else ShardedVariable(parts, name=name)


def are_in_parts(value) -> bool:
    return isinstance(value, ShardedVariable)


def parts_of(value) -> list[tf.Variable]:
    """The parts of a table, or the variable alone that has none."""
    return value.variables if are_in_parts(value) else [value]


def in_parts(weights: list[keras.Variable]) -> list[keras.Variable]:
    """The weights, a table in parts as these, each with the table's path."""
    return [part for weight in weights for part in _held_parts(weight)]


def _held_parts(weight: keras.Variable) -> list[keras.Variable]:
    if not are_in_parts(weight._value):
        return [weight]
    return [Held(part, weight.name, weight.path) for part in parts_of(weight._value)]


def pieces(weight: keras.Variable) -> Iterator[np.ndarray]:
    """A weight from its first row to the last; of a table in parts some rows at a time: no process holds them all."""
    if not are_in_parts(weight._value):
        yield weight.numpy()
        return
    for part in parts_of(weight._value):
        for start in range(0, part.shape[0], _ROWS_AT_A_TIME):
            yield part.sparse_read(np.arange(start, min(start + _ROWS_AT_A_TIME, part.shape[0]))).numpy()
