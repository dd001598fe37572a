"""Mixtures of experts: several networks on one input, and who listens to which.

Shape letters: B batch, I input width, E experts, G gates, H width of an expert's output.
"""

import math
from itertools import pairwise

import keras
import tensorflow as tf
from keras import ops

from rectrain.errors import InputError

_TRUNCATED = 0.87962566103423978  # standard deviation of a unit normal cut at 2, as Keras' Glorot initializer has it


class Experts(keras.layers.Layer):
    """E ReLU networks of equal shape, computed together: one product for the first layers of all.

    Each starts with Glorot weights of its own.

    Source: Ma et al. 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts".
    Args:
        num_experts: E.  units: width of each layer of an expert.  key: of the config, for messages.
    Call arguments:
        x: float (B, I).
    Returns:
        float (B, E, H), H = units[-1].
    Raises:
        InputError: num_experts is below 1; units is empty or holds a number below 1.
    """

    def __init__(
        self, num_experts: int, units: list[int], *, key: str = "num_experts", name: str = "experts", **settings
    ):
        super().__init__(name=name, **settings)
        if num_experts < 1:
            raise InputError(f"model.{key} must be at least 1; received {num_experts}.")
        if not units or min(units) < 1:
            raise InputError(
                f"an expert needs one or more layers of at least 1 unit; received {list(units)}. Set "
                "model.expert_units, for example to [16]."
            )
        self.num_experts = num_experts
        self.units = list(units)

    def build(self, x_shape):
        widths = [x_shape[-1], *self.units]
        self.kernels, self.biases = [], []
        for position, (fan_in, fan_out) in enumerate(pairwise(widths)):
            stddev = math.sqrt(2 / (fan_in + fan_out)) / _TRUNCATED
            initial = keras.initializers.TruncatedNormal(stddev=stddev)  # one draw for all: no two experts are equal
            shape = (fan_in, self.num_experts * fan_out) if position == 0 else (self.num_experts, fan_in, fan_out)
            self.kernels.append(self.add_weight(shape=shape, initializer=initial, name=f"kernel_{position}"))
            bias_shape = (self.num_experts, 1, fan_out) if position else (self.num_experts * fan_out,)
            self.biases.append(self.add_weight(shape=bias_shape, initializer="zeros", name=f"bias_{position}"))

    def call(self, x):
        flat = ops.relu(ops.matmul(x, self.kernels[0]) + self.biases[0])
        x_BEH = ops.reshape(flat, (-1, self.num_experts, self.units[0]))
        if len(self.units) == 1:
            return x_BEH
        x_EBH = ops.transpose(x_BEH, (1, 0, 2))
        for kernel_EHH, bias_E1H in zip(self.kernels[1:], self.biases[1:], strict=True):
            x_EBH = ops.relu(ops.matmul(x_EBH, kernel_EHH) + bias_E1H)
        return ops.transpose(x_EBH, (1, 0, 2))


class Gates(keras.layers.Layer):
    """Softmax of a linear map without bias: how much each gate listens to each expert. Computes in float32.

    Args:
        names: of the gates, for the report.  num_experts: E.
    Call arguments:
        x: float (B, I).
    Returns:
        float32 (B, G, E); each row of E sums to 1.
    """

    def __init__(self, names: list[str], num_experts: int, *, name: str = "gates", dtype: str = "float32", **settings):
        super().__init__(name=name, dtype=dtype, **settings)
        self.names = list(names)
        self.num_experts = num_experts

    def build(self, x_shape):
        stddev = math.sqrt(2 / (x_shape[-1] + self.num_experts)) / _TRUNCATED
        self.kernel = self.add_weight(
            shape=(x_shape[-1], len(self.names) * self.num_experts),
            initializer=keras.initializers.TruncatedNormal(stddev=stddev),
            name="kernel",
        )

    def call(self, x):
        logits = ops.matmul(x, self.kernel)
        logits_BGE = ops.reshape(logits, (-1, len(self.names), self.num_experts))
        return tf.nn.softmax(logits_BGE)  # that of Keras warns where there is one expert


class Mixture(keras.layers.Layer):
    """What each gate hears: the experts' outputs, weighted by the gate.

    Call arguments:
        gates: float32 (B, G, E).  experts: float (B, E, H).
    Returns:
        list of G tensors float (B, H).
    """

    def call(self, gates, experts):
        return tf.unstack(ops.matmul(ops.cast(gates, experts.dtype), experts), axis=1)
