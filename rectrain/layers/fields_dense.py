"""A dense layer over fields of which some are a number times a vector.

Shape letters: B batch, F looked-up fields, N numeric fields, D width, H units.
"""

import keras
import tensorflow as tf
from keras import ops


class FieldsDense(keras.layers.Dense):
    """Dense over all fields side by side, numeric ones last, without making x_n v_n for each row.

    (x_n v_n) W_n = x_n (v_n W_n): the kernel of a numeric field becomes one row, so that the product is N columns wide
    instead of N * D.

    Call arguments:
        fields: {"fields": float (B, F, D), "numbers": float (B, N), "number_vectors": float (N, D)}, each of the two
            kinds of fields if there are any.
    Returns:
        float (B, H).
    """

    def __init__(self, units: int, **settings):
        super().__init__(units, **settings)
        self.input_spec = None  # Dense's is that of a matrix

    def build(self, fields_shape):
        width_of = {name: shape[-1] for name, shape in fields_shape.items()}
        num_fields = fields_shape["fields"][1] if "fields" in fields_shape else 0
        width = width_of.get("fields") or width_of["number_vectors"]
        super().build((None, (num_fields + width_of.get("numbers", 0)) * width))
        self.num_looked_up = num_fields * width
        self.input_spec = None

    def call(self, fields):
        looked_up = [ops.reshape(fields["fields"], (-1, self.num_looked_up))] if "fields" in fields else []
        if "numbers" not in fields:
            return super().call(looked_up[0])
        of_fields, of_numbers = ops.split(self.kernel, [self.num_looked_up], axis=0)
        kernel_NDH = ops.reshape(of_numbers, (*fields["number_vectors"].shape, self.units))
        of_numbers_NH = ops.einsum("nd,ndh->nh", fields["number_vectors"], kernel_NDH)
        x = ops.concatenate([*looked_up, fields["numbers"]], axis=1)
        y = ops.matmul(x, ops.concatenate([of_fields, of_numbers_NH], axis=0))
        return tf.nn.bias_add(y, ops.cast(self.bias, y.dtype)) if self.use_bias else y  # one kernel with the product
