"""One fused embedding table for all features of a model.

Shape letters: B batch, F fields, N numeric features, D width.
"""

import math

import keras
from keras import ops

from rectrain.errors import InputError
from rectrain.features.tables import add_table, look_up_fields, normal_columns, step_bags, value_bags
from rectrain.schema import Schema


class FieldEmbeddings(keras.layers.Layer):
    """One vector a field: looked up (categorical), averaged over its values or steps, value x vector (numeric).

    The steps of a short history that share the rows of a feature are a field; other steps and histories are not read.

    Computes in float32 under any precision; layers that compute in bfloat16 round what they read.

    Args:
        schema: the features; hand-made crosses have no embedding.
        width: D.  stddev: of the normal initializer.
        numeric: whether numeric features become fields too; models that use raw numbers say False.
        unmultiplied: leave numeric fields as numbers and vectors, for layers that need not see each product.
        first_order: whether the table has one more column, which holds the first-order weight of each value. It starts
            at zero and comes with the same look-up.
    Call arguments:
        batch: the packed batch.
    Returns:
        float32 (B, F, D): categorical, then multi-valued fields, then those of histories, then numeric ones, in the
        order of the schema; if unmultiplied {"fields": the others, absent without any; "numbers": float32 (B, N),
        "number_vectors": float32 (N, D), absent without any}. With first_order the pair of that and float32 (B,), the
        sum of the first-order weights of the values in the table, without those of histories.
    Raises:
        InputError: width is below 1; stddev is not a positive number.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        width: int,
        stddev: float,
        numeric: bool,
        unmultiplied: bool = False,
        first_order: bool = False,
        name: str = "embedding",
    ):
        super().__init__(name=name, dtype="float32")
        check_table(width, stddev)
        self.schema = schema
        self.width = width
        self.stddev = stddev
        self.numeric = numeric and bool(schema.numeric)
        self.unmultiplied = unmultiplied
        self.first_order = first_order and bool(schema.num_embedding_rows)

    def build(self, batch_shape):
        if self.schema.num_embedding_rows:
            shape = (self.schema.num_embedding_rows, self.width + self.first_order)
            self.table = add_table(self, shape, self.width, self.stddev)
        if self.numeric:
            shape = (len(self.schema.numeric), self.width)
            self.numeric_vectors = self.add_weight(shape=shape, initializer=self._normal, name="numeric_vectors")

    def call(self, batch, training=False):
        fields_BFD, first_order_B = None, None
        if self.schema.num_embedding_rows:
            bags = value_bags(self.schema) + step_bags(self.schema)
            vectors = look_up_fields(self.table, batch, len(self.schema.categorical), bags, training=training)
            # Split, not sliced: as in look_up_together.
            fields_BFD, weights = ops.split(vectors, [self.width], axis=-1)
            num_first_order = len(self.schema.categorical) + len(self.schema.multi_valued)
            first_order_B = ops.sum(weights[:, :num_first_order], axis=(1, 2))
        fields = self._with_numeric(fields_BFD, batch)
        return (fields, first_order_B) if self.first_order else fields

    def get_config(self):
        kept = ("name", "width", "stddev", "numeric", "unmultiplied", "first_order")
        return {"schema": self.schema.to_json(), **{key: getattr(self, key) for key in kept}}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "schema": Schema.from_json(config["schema"])})

    def _with_numeric(self, fields_BFD, batch):
        """Looked-up fields, None where there are none, and numeric ones."""
        looked_up = {} if fields_BFD is None else {"fields": fields_BFD}
        numeric = {"numbers": batch["numeric"], "number_vectors": self.numeric_vectors} if self.numeric else {}
        if self.unmultiplied:
            return {**looked_up, **numeric}
        products = [batch["numeric"][..., None] * self.numeric_vectors] if self.numeric else []
        return ops.concatenate([*looked_up.values(), *products], axis=1)

    def _normal(self, shape, dtype=None):
        return normal_columns(shape, self.width, self.stddev)


def flat_features(schema: Schema, batch, *, width: int, stddev: float, numeric_vectors: bool = False):
    """The input of deep and cross nets: embeddings, then numbers, as in `side_by_side`."""
    fields = None
    if schema.num_embedding_rows or (numeric_vectors and schema.numeric):
        fields = FieldEmbeddings(schema, width=width, stddev=stddev, numeric=numeric_vectors)(batch)
    return side_by_side(schema, batch, fields, numeric_vectors=numeric_vectors)


def side_by_side(schema: Schema, batch, fields, *, numeric_vectors: bool = False):
    """Fields one after the other, then the raw numeric values: float (B, F * D + N).

    Args:
        fields: float (B, F, D), None where there are none.
        numeric_vectors: the fields hold the numbers too (value x vector), so that none are added.
    """
    parts = [] if fields is None else [keras.layers.Flatten(name="flatten")(fields)]
    if schema.numeric and not numeric_vectors:
        parts.append(batch["numeric"])
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate(name="features")(parts)


def check_table(width: int, stddev: float):
    if width < 1:
        raise InputError(f"the width of embeddings must be at least 1; received {width}. Set model.embedding_dim.")
    if not 0 < stddev < math.inf:
        raise InputError(
            f"the standard deviation of initial embeddings must be a positive number; received {stddev}. "
            "Set model.embedding_stddev, for example to 0.01."
        )
