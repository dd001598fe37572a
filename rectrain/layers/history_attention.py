"""Multi-head attention over histories: of the steps to each other, and of a candidate to the steps.

Shape letters: B batch, T and S steps, D width of keys, E that of extras, I = D + E, H heads, W width of a head.
"""

import keras
import tensorflow as tf
from keras import ops

from rectrain.errors import InputError
from rectrain.layers.din import step_values
from rectrain.layers.masked_softmax import masked_softmax
from rectrain.layers.small_tables import small_look_up

_NEAR_ZERO = 0.01


class SelfAttention(keras.layers.Layer):
    """Each key becomes layer norm(key + a mix of all steps of its history), as in an encoder without feed-forward part.

    Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, sections 3.2 and 3.1 (residual, norm).
    Args:
        num_heads: H.  head_width: W.
        max_length: of the history.
        positions: whether a learned vector of the position counted from the newest step is added to what is mixed.
    Call arguments:
        history: {"query": float (B, D), "keys": float (B, T, D), "valid": bool (B, T)} and, where steps have them,
            "extras": float (B, T, E).
    Returns:
        float (B, T, D), the new keys; zeros in the padding.
    Raises:
        InputError: num_heads or head_width is below 1.
    """

    def __init__(self, *, num_heads: int, head_width: int, max_length: int, positions: bool, name: str, **settings):
        super().__init__(name=name, **settings)
        _check_heads(num_heads, head_width)
        self.num_heads = num_heads
        self.head_width = head_width
        self.max_length = max_length
        self.positions = positions
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")

    def build(self, history_shape):
        width, inner = _step_width(history_shape), self.num_heads * self.head_width
        self.query_kernel, self.key_kernel, self.value_kernel = (
            self.add_weight(shape=(width, inner), initializer="glorot_normal", name=name)
            for name in ("query", "key", "value")
        )
        keys_width = history_shape["keys"][-1]
        self.output_kernel = self.add_weight(shape=(inner, keys_width), initializer="glorot_normal", name="output")
        if self.positions:
            near_zero = keras.initializers.RandomNormal(stddev=_NEAR_ZERO)
            self.position_vectors = self.add_weight(
                shape=(self.max_length, width), initializer=near_zero, name="positions"
            )
        self.norm.build(history_shape["keys"])

    def call(self, history):
        x = step_values(history)
        valid = history["valid"]
        if self.positions:
            x = x + small_look_up(ops.cast(self.position_vectors, x.dtype), self._from_the_end(valid))
        query_BHTW, key_BHSW, value_BHSW = (
            self._heads(ops.matmul(x, kernel)) for kernel in (self.query_kernel, self.key_kernel, self.value_kernel)
        )
        scores_BHTS = ops.matmul(query_BHTW, ops.swapaxes(key_BHSW, 2, 3)) / self.head_width**0.5
        attention_BHTS = masked_softmax(scores_BHTS, valid[:, None, None])
        mixed_BTHW = ops.transpose(ops.matmul(attention_BHTS, value_BHSW), (0, 2, 1, 3))
        batch, steps = ops.shape(x)[:2]
        mixed = ops.reshape(mixed_BTHW, (batch, steps, self.num_heads * self.head_width))
        attended = self.norm(history["keys"] + ops.matmul(mixed, self.output_kernel))
        return attended * ops.cast(valid, attended.dtype)[..., None]

    def _heads(self, x):
        batch, steps = ops.shape(x)[:2]
        x = ops.reshape(x, (batch, steps, self.num_heads, self.head_width))
        return ops.transpose(x, (0, 2, 1, 3))

    def _from_the_end(self, valid):
        """int32 (B, T): 0 for the newest step, 1 for the one before it, and so on; padding has any."""
        lengths_B1 = ops.sum(ops.cast(valid, "int32"), axis=1, keepdims=True)
        steps_T = tf.range(tf.shape(valid)[1])
        return ops.clip(lengths_B1 - 1 - steps_T, 0, self.max_length - 1)


class TargetAttention(keras.layers.Layer):
    """Mix of the steps [k, extras] for each head, weighted by the softmax of (W_k [k, extras]) . (W_q q).

    An empty history gives zeros.

    Source: Pi et al. 2020, "Search-based User Interest Modeling with Lifelong Sequential Behavior Data for
        Click-Through Rate Prediction", arXiv:2006.05639, section 3.2 (exact search unit): steps are mixed as they are.
    Args:
        num_heads: H.  head_width: W, of the space in which candidate and steps are compared.
    Call arguments:
        history: {"query": float (B, D), "keys": float (B, T, D), "valid": bool (B, T)} and, where steps have them,
            "extras": float (B, T, E).
    Returns:
        float (B, H * I).
    Raises:
        InputError: num_heads or head_width is below 1.
    """

    def __init__(self, *, num_heads: int, head_width: int, name: str, **settings):
        super().__init__(name=name, **settings)
        _check_heads(num_heads, head_width)
        self.num_heads = num_heads
        self.head_width = head_width

    def build(self, history_shape):
        inner = self.num_heads * self.head_width
        shapes = {"query": history_shape["query"][-1], "key": _step_width(history_shape)}
        self.query_kernel, self.key_kernel = (
            self.add_weight(shape=(width, inner), initializer="glorot_normal", name=name)
            for name, width in shapes.items()
        )

    def call(self, history):
        values_BTI = step_values(history)
        mixed_BHI = ops.matmul(self._attention(history, values_BTI), values_BTI)
        return ops.reshape(mixed_BHI, (-1, self.num_heads * values_BTI.shape[-1]))

    def step_weights(self, history):
        """The mean over the heads of what each step is multiplied with, float (B, T); 0 in the padding."""
        return ops.mean(self._attention(history, step_values(history)), axis=1)

    def _attention(self, history, values_BTI):
        """float (B, H, T)."""
        aims_BHI = self._aims(history["query"])
        scores_BHT = ops.matmul(aims_BHI, ops.swapaxes(values_BTI, 1, 2))
        return masked_softmax(scores_BHT, history["valid"][:, None])

    def _aims(self, query):
        """What a step is multiplied with in each head: W_k is applied once to the candidate, not to each step."""
        query_BHW = ops.reshape(ops.matmul(query, self.query_kernel), (-1, self.num_heads, self.head_width))
        key_kernel_IHW = ops.reshape(self.key_kernel, (-1, self.num_heads, self.head_width))
        return ops.einsum("bhw,ihw->bhi", query_BHW, key_kernel_IHW)


def _step_width(history_shape) -> int:
    return sum(history_shape[part][-1] for part in ("keys", "extras") if part in history_shape)


def _check_heads(num_heads: int, head_width: int):
    for key, value in (("num_heads", num_heads), ("head_width", head_width)):
        if value < 1:
            raise InputError(f"{key} of attention must be at least 1; received {value}. Set model.{key}.")
