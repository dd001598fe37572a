"""Python functions of one process that another one calls through TensorFlow.

TensorFlow calls Python by a name that it looks up in the process that runs the operation. Its public functions make up
a name that only the process knows that traced them; here both sides agree on it.
"""

from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.ops import script_ops

_served: dict[str, Callable] = {}  # TensorFlow's own table does not keep them alive


def serve(name: str, function: Callable):
    """Lets others call `function`, from arrays to a list of arrays, as long as the process lives."""
    _served[name] = function
    script_ops._py_funcs._funcs[name] = function


def call(name: str, arguments: list, types: list) -> list:
    """What the function says in the process on whose device this is placed; tensors of unknown shapes."""
    return tf.raw_ops.PyFunc(input=arguments, token=name, Tout=types)
