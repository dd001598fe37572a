"""The first-order part: one weight a value, alone or beside embeddings.

Shape letters: B batch, F categorical columns, D width, N numeric features.
"""

import contextlib

import keras
from keras import ops

from rectrain.features.embedding import FieldEmbeddings
from rectrain.features.tables import add_table, look_up, look_up_fields, value_bags
from rectrain.schema import Schema

_tables_apart = False


@contextlib.contextmanager
def first_order_tables_apart(apart: bool):
    """Whether models built inside keep first-order weights in a table of their own ("linear/table").

    Else they ride as one more column in the table of the embeddings, which saves a second look-up and update of the
    same rows. An optimizer that treats the two differently needs them apart.
    """
    global _tables_apart
    before, _tables_apart = _tables_apart, apart
    try:
        yield
    finally:
        _tables_apart = before


def fields_and_linear(schema: Schema, batch, *, width: int, stddev: float, numeric: bool, unmultiplied: bool = False):
    """Embeddings as in FieldEmbeddings, and the first-order logit as in LinearTerms.

    Returns:
        what FieldEmbeddings returns, None without fields; float32 (B,).
    """
    if not schema.num_embedding_rows and not numeric:
        return None, LinearTerms(schema)(batch)
    together = bool(schema.num_embedding_rows) and not _tables_apart
    embeddings = FieldEmbeddings(
        schema, width=width, stddev=stddev, numeric=numeric, unmultiplied=unmultiplied, first_order=together
    )
    if not together:
        return embeddings(batch), LinearTerms(schema)(batch)
    fields, first_order = embeddings(batch)
    rest = LinearTerms(schema, embedded=True)(batch)
    return fields, keras.layers.Add(name="linear_logit", dtype="float32")([first_order, rest])


class LinearTerms(keras.layers.Layer):
    """Sum of one weight for each value of a row, hand-made crosses included, plus a bias.

    A multi-valued feature counts with the mean of its values' weights, a numeric one with value x weight, a history
    does not. Weights start at zero, so that what a sparse optimizer never moves stays exactly zero. Computes in float32
    under any precision: it is a sum of many small terms, one number each, and costs next to nothing.

    Args:
        embedded: the weights of all values that have an embedding stand beside it; here are the others.
    Call arguments:
        batch: the packed batch.
    Returns:
        float32 (B,), a logit.
    """

    def __init__(self, schema: Schema, *, embedded: bool = False, name: str = "linear"):
        super().__init__(name=name, dtype="float32")
        self.schema = schema
        self.embedded = embedded

    def build(self, batch_shape):
        num_rows = self.schema.num_linear_rows - self.schema.num_embedding_rows * self.embedded
        self.table = None
        if num_rows:
            self.table = add_table(self, (num_rows, 1), 0, 0.0)
        if self.schema.numeric:
            self.kernel = self.add_weight(shape=(len(self.schema.numeric),), initializer="zeros", name="kernel")
        self.bias = self.add_weight(shape=(), initializer="zeros", name="bias")

    def call(self, batch, training=False):
        rows = ops.shape(next(iter(batch.values())))[0]
        logit_B = ops.broadcast_to(self.bias, (rows,))
        if self.table is not None:
            logit_B = logit_B + ops.sum(self._weights(batch, training), axis=(1, 2))
        if self.schema.numeric:
            logit_B = logit_B + ops.sum(batch["numeric"] * self.kernel, axis=1)
        return logit_B

    def get_config(self):
        return {"schema": self.schema.to_json(), "embedded": self.embedded, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "schema": Schema.from_json(config["schema"])})

    def _weights(self, batch, training):
        """float32 (B, F, 1)."""
        if self.embedded:  # crosses alone, whose rows come last
            crosses_BF = batch["categorical"][:, len(self.schema.categorical) :]
            return look_up(self.table, crosses_BF - self.schema.num_embedding_rows, training=training)
        num_columns = self.schema.num_categorical_columns
        return look_up_fields(self.table, batch, num_columns, value_bags(self.schema), training=training)
