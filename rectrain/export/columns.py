"""The raw columns that an exported model takes: string, blank where missing, or float64, NaN where missing."""

import tensorflow as tf

from rectrain.errors import InputError

TEXT = tf.TensorSpec((None,), tf.string)
NUMBER = tf.TensorSpec((None,), tf.float64)
TEXTS = tf.TensorSpec((None, None), tf.string)  # a list a row
NUMBERS = tf.TensorSpec((None, None), tf.float64)


class Columns:
    """What is asked for while a graph is made.

    Args:
        texts: names of columns that some feature reads as text: a number of such a column is read from its text.
    """

    def __init__(self, texts: set[str]):
        self._texts = texts
        self.signature: dict[str, tf.TensorSpec] = {}
        self.examples: dict[str, str | float] = {}  # a value of each

    def text(self, name: str, example: str):
        """columns -> string (B,)."""
        self.add(name, TEXT, example)
        return lambda columns: columns[name]

    def number(self, name: str):
        """columns -> float64 (B,)."""
        if name not in self._texts:
            self.add(name, NUMBER, 1.0)
            return lambda columns: columns[name]
        self.add(name, TEXT, "1")

        def parsed(columns):
            return tf.strings.to_number(tf.where(columns[name] == "", "nan", columns[name]), tf.float64)

        return parsed

    def add(self, name: str, spec: tf.TensorSpec, example: str | float):
        """
        Raises:
            InputError: there is another column of that name.
        """
        self.examples.setdefault(name, example)
        known = self.signature.setdefault(name, spec)
        if known != spec:
            raise InputError(
                f"the exported model would have two inputs called {name!r}: a {known.dtype.name} of rank "
                f"{known.shape.rank} and a {spec.dtype.name} of rank {spec.shape.rank}. Rename the raw column."
            )
