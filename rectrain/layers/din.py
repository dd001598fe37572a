"""Attention of a candidate to the steps of a history, by a small MLP.

Shape letters: B batch, T steps, N real steps of all rows, D width of keys, E that of extras, I = D + E, H hidden units.
"""

import keras
from keras import ops

from rectrain.errors import InputError
from rectrain.layers.activations import activation_layer
from rectrain.layers.masked_softmax import masked_softmax
from rectrain.layers.pooling import weighted_sum
from rectrain.layers.valid_steps import ValidSteps


class ActivationUnit(keras.layers.Layer):
    """Sum of the steps [k, extras], each times a weight that an MLP gives to [q, k, q - k, q * k, extras].

    The weights are not normalized, so that their sum tells how much of the history the candidate meets. An empty
    history gives zeros.

    Source: Zhou et al. 2018, "Deep Interest Network for Click-Through Rate Prediction", arXiv:1706.06978, section 4.3.
        The paper's own code has q - k and q * k; the paper says outer product.
    Args:
        units: width of each hidden layer of the MLP.
        activation: of its hidden units: dice, prelu, relu or sigmoid.
        softmax: normalize the weights over the real steps.
        scaling: divide the weights by sqrt(D), before the softmax.
    Call arguments:
        history: {"query": float (B, D), "keys": float (B, T, D), "valid": bool (B, T)} and, where steps have them,
            "extras": float (B, T, E).
    Returns:
        float (B, I).
    Raises:
        InputError: units is empty or holds a number below 1; there is no such activation.
    """

    def __init__(self, *, units: list[int], activation: str, softmax: bool, scaling: bool, name: str, **settings):
        super().__init__(name=name, **settings)
        _check(units)
        self.units = units
        self.softmax = softmax
        self.scaling = scaling
        self.activations = [
            activation_layer(activation, key="attention_activation", name=f"{activation}_{position}")
            for position in range(len(units))
        ]
        self.dense = [
            keras.layers.Dense(width, kernel_initializer="glorot_normal", name=f"dense_{position}")
            for position, width in enumerate([*units[1:], 1], start=1)
        ]

    def build(self, history_shape):
        width = history_shape["keys"][-1]
        extras = history_shape["extras"][-1] if "extras" in history_shape else 0
        shape = (4 * width + extras, self.units[0])
        self.kernel = self.add_weight(shape=shape, initializer="glorot_normal", name="kernel")
        self.bias = self.add_weight(shape=(self.units[0],), initializer="zeros", name="bias")
        for units, activation, dense in zip(self.units, self.activations, self.dense, strict=True):
            activation.build((None, units))
            dense.build((None, units))

    def call(self, history):
        return weighted_sum(self.step_weights(history), step_values(history))

    def step_weights(self, history):
        """What each step is multiplied with, float (B, T); 0 in the padding."""
        steps = ValidSteps(history["valid"])
        hidden_NH = self._first_layer(history, steps)
        for activation, dense in zip(self.activations, self.dense, strict=True):
            hidden_NH = dense(activation(hidden_NH))
        weights_BT = steps.unpack(hidden_NH)[..., 0]
        if self.scaling:
            weights_BT = weights_BT / history["keys"].shape[-1] ** 0.5
        if self.softmax:
            weights_BT = masked_softmax(weights_BT, history["valid"])
        return weights_BT

    def _first_layer(self, history, steps: ValidSteps):
        """[q, k, q - k, q * k, extras] @ kernel + bias, float (N, H), for half the arithmetic.

        q (W_q + W_d) is the same for all steps of a row, and k (W_k - W_d) + (q * k) W_p + extras W_e is left for each.
        """
        width = history["keys"].shape[-1]
        sections = [width, 2 * width, 3 * width, 4 * width]
        of_q, of_k, of_difference, of_product, of_extras = ops.split(self.kernel, sections, axis=0)
        query_BH = ops.matmul(history["query"], of_q + of_difference) + self.bias
        keys_ND = steps.pack(history["keys"])
        parts = [keys_ND, steps.repeat(history["query"]) * keys_ND]
        if "extras" in history:
            parts.append(steps.pack(history["extras"]))
        # One product: the gradient of the kernel, a sum over all steps, costs the same for 16 columns as for 64.
        kernel = ops.concatenate([of_k - of_difference, of_product, of_extras], axis=0)
        return steps.repeat(query_BH) + ops.matmul(ops.concatenate(parts, axis=1), kernel)


def activation_units(histories: dict, attention: dict) -> list:
    """The interest (B, V) that the candidate finds in each of {name: history}, with the same settings of the unit."""
    return [ActivationUnit(**attention, name=f"attention_{name}")(history) for name, history in histories.items()]


def step_values(history):
    """[k, extras] of each step, float (B, T, I)."""
    if "extras" not in history:
        return history["keys"]
    return ops.concatenate([history["keys"], history["extras"]], axis=-1)


def _check(units: list[int]):
    if not units or min(units) < 1:
        raise InputError(
            f"the attention of DIN needs one or more hidden layers of at least 1 unit; received {list(units)}. "
            "Set model.attention_units, for example to [64]."
        )
