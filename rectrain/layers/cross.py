"""Cross networks: polynomials of the input whose degree grows by one a layer.

Shape letters: B batch, D width.
"""

import keras
import tensorflow as tf
from keras import ops

from rectrain.errors import InputError


class VectorCrossNetwork(keras.layers.Layer):
    """Crosses with one weight vector a layer: x_(l+1) = x_0 (x_l . w_l) + b_l + x_l.

    Source: Wang et al. 2017, "Deep & Cross Network for Ad Click Predictions", arXiv:1708.05123.
    Args:
        num_crosses: layers; 0 gives x itself.
    Call arguments:
        x: float (B, D), x_0.
    Returns:
        float (B, D).
    Raises:
        InputError: num_crosses is negative.
    """

    def __init__(self, num_crosses: int, *, name: str = "cross", **settings):
        super().__init__(name=name, **settings)
        _check_num_crosses(num_crosses)
        self.num_crosses = num_crosses

    def build(self, x_shape):
        width = x_shape[-1]
        layers = range(self.num_crosses)
        self.kernels = [_kernel(self, width, 1, f"kernel_{layer}") for layer in layers]
        self.biases = [_bias(self, width, f"bias_{layer}") for layer in layers]

    def call(self, x):
        crossed = x
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            crossed = x * ops.matmul(crossed, kernel) + bias + crossed
        return crossed


class MatrixCrossNetwork(keras.layers.Layer):
    """Crosses with one weight matrix a layer: x_(l+1) = x_0 * (W_l x_l + b_l) + x_l.

    Source: Wang et al. 2021, "DCN V2", arXiv:2008.13535.
    Args:
        num_crosses: layers; 0 gives x itself.
        rank: None for full (D, D) matrices; else W = U V^T with U and V of shape (D, rank).
    Call arguments:
        x: float (B, D), x_0.
    Returns:
        float (B, D).
    Raises:
        InputError: num_crosses is negative; rank lies outside [1, D].
    """

    def __init__(self, num_crosses: int, *, rank: int | None, name: str = "cross", **settings):
        super().__init__(name=name, **settings)
        _check_num_crosses(num_crosses)
        self.num_crosses = num_crosses
        self.rank = rank

    def build(self, x_shape):
        width = x_shape[-1]
        layers = range(self.num_crosses)
        if self.rank is None:
            self.factors = [[_kernel(self, width, width, f"kernel_{layer}")] for layer in layers]
        else:
            _check_rank(self.rank, width)
            self.factors = [
                [_kernel(self, width, self.rank, f"v_{layer}"), _kernel(self, self.rank, width, f"u_{layer}")]
                for layer in layers
            ]
        self.biases = [_bias(self, width, f"bias_{layer}") for layer in layers]

    def call(self, x):
        crossed = x
        for factors, bias in zip(self.factors, self.biases, strict=True):
            projected = crossed
            for kernel in factors:
                projected = ops.matmul(projected, kernel)
            # bias_add, not +: TensorFlow makes one kernel of it and the product.
            crossed = x * tf.nn.bias_add(projected, ops.cast(bias, x.dtype)) + crossed
        return crossed


def _kernel(layer, width_in: int, width_out: int, name: str):
    return layer.add_weight(shape=(width_in, width_out), initializer="glorot_normal", name=name)


def _bias(layer, width: int, name: str):
    return layer.add_weight(shape=(width,), initializer="zeros", name=name)


def _check_num_crosses(num_crosses: int):
    if num_crosses < 0:
        raise InputError(
            f"the number of cross layers must be 0 or more; received {num_crosses}. "
            "Set model.num_crosses, usually 1 to 4."
        )


def _check_rank(rank: int, width: int):
    if not 1 <= rank <= width:
        raise InputError(
            f"the rank of a cross layer must lie in [1, {width}], the width of its input; received {rank}. "
            "Set model.cross_rank=null for full matrices."
        )
