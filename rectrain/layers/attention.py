"""Self-attention over the fields of a row.

Shape letters: B batch, F and G fields, D width, H heads, W width of a head.
"""

import keras
from keras import ops

from rectrain.errors import InputError


class InteractingLayer(keras.layers.Layer):
    """Every field becomes ReLU(a mix of all fields' values, weighted by attention, + the field itself).

    Source: Song et al. 2019, "AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural Networks",
        arXiv:1810.11921, equations 5 to 8.
    Args:
        num_heads: H.  head_width: W.
        residual: add the input; through a matrix where its width differs from H * W, else as it is.
        scaling: divide the scores by sqrt(W), as Transformers do and the paper does not.
        layer_norm: normalize each field before the ReLU, which the paper does not.
    Call arguments:
        x: float (B, F, D).
    Returns:
        float (B, F, H * W).
    Raises:
        InputError: num_heads or head_width is below 1.
    """

    def __init__(
        self,
        *,
        num_heads: int,
        head_width: int,
        residual: bool,
        scaling: bool,
        layer_norm: bool,
        name: str,
        **settings,
    ):
        super().__init__(name=name, **settings)
        _check("num_heads", num_heads)
        _check("head_width", head_width)
        self.num_heads = num_heads
        self.head_width = head_width
        self.residual = residual
        self.scaling = scaling
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="layer_norm") if layer_norm else None

    def build(self, x_shape):
        width = x_shape[-1]
        self.query_kernel = self._kernel(width, "query")
        self.key_kernel = self._kernel(width, "key")
        self.value_kernel = self._kernel(width, "value")
        project = self.residual and width != self.num_heads * self.head_width
        self.residual_kernel = self._kernel(width, "residual") if project else None
        if self.norm is not None:
            self.norm.build((*x_shape[:-1], self.num_heads * self.head_width))

    def call(self, x):
        query_BFHW = self._heads(ops.matmul(x, self.query_kernel))
        key_BGHW = self._heads(ops.matmul(x, self.key_kernel))
        value_BGHW = self._heads(ops.matmul(x, self.value_kernel))
        scores_BHFG = ops.einsum("bfhw,bghw->bhfg", query_BFHW, key_BGHW)
        if self.scaling:
            scores_BHFG = scores_BHFG / self.head_width**0.5
        mixed_BFHW = ops.einsum("bhfg,bghw->bfhw", ops.softmax(scores_BHFG), value_BGHW)
        mixed = ops.reshape(mixed_BFHW, (-1, x.shape[1], self.num_heads * self.head_width))
        if self.residual:
            mixed = mixed + (x if self.residual_kernel is None else ops.matmul(x, self.residual_kernel))
        return ops.relu(mixed if self.norm is None else self.norm(mixed))

    def _kernel(self, width: int, name: str):
        shape = (width, self.num_heads * self.head_width)
        return self.add_weight(shape=shape, initializer="glorot_normal", name=name)

    def _heads(self, x):
        return ops.reshape(x, (-1, x.shape[1], self.num_heads, self.head_width))


def _check(key: str, value: int):
    if value < 1:
        raise InputError(f"{key} of an interacting layer must be at least 1; received {value}. Set model.{key}.")
