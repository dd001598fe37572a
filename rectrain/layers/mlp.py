"""The deep part and the unit that turns any part into a logit.

Shape letters: B batch, D width.
"""

from itertools import accumulate

import keras
import tensorflow as tf
from keras import ops

from rectrain.errors import InputError
from rectrain.layers.activations import activation_layer
from rectrain.layers.fields_dense import FieldsDense


class MLP(keras.layers.Layer):
    """Fully connected hidden layers: dense, batch norm (optional), activation, dropout.

    Source (batch norm): Ioffe & Szegedy 2015, arXiv:1502.03167; its shift replaces the dense bias.
    Args:
        hidden_units: width of each hidden layer.
        dropout: fraction of units dropped in training.
        batch_norm: whether the dense outputs are normalized over the global batch.
        activation: relu, prelu or dice.
        of_fields: whether x are fields.
    Call arguments:
        x: float (B, D), or fields as FieldsDense takes them.
    Returns:
        float (B, hidden_units[-1]).
    Raises:
        InputError: hidden_units is empty or holds a number below 1; dropout lies outside [0, 1); there is no such
            activation.
    """

    def __init__(
        self,
        hidden_units: list[int],
        *,
        dropout: float,
        batch_norm: bool,
        activation: str = "relu",
        of_fields: bool = False,
        name: str = "mlp",
        **settings,
    ):
        super().__init__(name=name, **settings)
        _check(hidden_units, dropout)
        self.dropout = dropout
        self.dense = [
            (FieldsDense if of_fields and position == 0 else keras.layers.Dense)(
                units, use_bias=not batch_norm, kernel_initializer="glorot_normal", name=f"dense_{position}"
            )
            for position, units in enumerate(hidden_units)
        ]
        self.activations = [
            activation_layer(activation, key="hidden_activation", name=f"{activation}_{position}")
            for position in range(len(hidden_units))
        ]
        self.norms = [_batch_norm(position) for position in range(len(hidden_units))] if batch_norm else []

    def build(self, x_shape):
        for position, dense in enumerate(self.dense):
            dense.build(x_shape)
            x_shape = (None, dense.units)
            if self.norms:
                self.norms[position].build(x_shape)
            self.activations[position].build(x_shape)
        if self.dropout:
            # keras.layers.Dropout names its seed state with a counter of the process; this name is stable.
            self.seed_generator = _ReplicaSeeds(name="dropout")

    def call(self, x, training=False):
        for position, dense in enumerate(self.dense):
            x = dense(x)
            if self.norms:
                x = self.norms[position](x, training=training)
            x = self.activations[position](x)
            if self.dropout and training:
                x = keras.random.dropout(x, self.dropout, seed=self.seed_generator)
        return x


class _ReplicaSeeds(keras.random.SeedGenerator):
    """Other seeds on each replica; else the rows of all would lose the same units."""

    def next(self, ordered=True):
        seed = super().next(ordered=ordered)
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:  # None: a layer is being built
            return seed
        return seed + tf.cast(tf.stack([context.replica_id_in_sync_group, 0]), seed.dtype)


class Logit(keras.layers.Layer):
    """One linear unit. Computes in float32 under any precision: a logit is where rounding would show in the metrics.

    Args:
        alternating: whether initial weights alternate in sign. Above a narrow layer of ReLUs, which are never below 0,
            they may else start with nearly one sign, and end with a logit that cannot rise above its bias.
    Call arguments:
        x: float (B, D), or a list of such parts: the unit reads them as if they stood side by side, without that copy.
    Returns:
        float32 (B,).
    """

    def __init__(self, *, alternating: bool = False, name: str = "logit", dtype: str = "float32", **settings):
        super().__init__(name=name, dtype=dtype, **settings)
        self.initializer = _alternating if alternating else "glorot_normal"

    def build(self, x_shape):
        several = isinstance(x_shape[0], list | tuple)
        self.widths = [shape[-1] for shape in x_shape] if several else [x_shape[-1]]
        self.kernel = self.add_weight(shape=(sum(self.widths), 1), initializer=self.initializer, name="kernel")
        self.bias = self.add_weight(shape=(), initializer="zeros", name="bias")

    def call(self, x):
        if not isinstance(x, list):
            return ops.matmul(x, self.kernel)[:, 0] + self.bias
        kernels = ops.split(self.kernel, list(accumulate(self.widths))[:-1])
        sums = [ops.matmul(part, kernel)[:, 0] for part, kernel in zip(x, kernels, strict=True)]
        return sum(sums[1:], sums[0]) + self.bias


def _alternating(shape, dtype=None):
    """Glorot normal in size, + - + - in sign."""
    signs = 1 - 2 * (ops.arange(shape[0]) % 2)
    return ops.abs(keras.initializers.GlorotNormal()(shape, dtype)) * ops.cast(signs, dtype)[:, None]


def _batch_norm(position: int) -> keras.layers.Layer:
    # Momentum .9, not Keras' .99: the moving statistics must have settled after an epoch of some hundred steps.
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, synchronized=True, name=f"batch_norm_{position}")


def _check(hidden_units, dropout):
    if not hidden_units or min(hidden_units) < 1:
        raise InputError(
            f"a deep part needs one or more hidden layers of at least 1 unit; received {list(hidden_units)}. "
            "Set model.hidden_units, for example to [400,400]."
        )
    if not 0 <= dropout < 1:
        raise InputError(f"dropout must lie in [0, 1); received {dropout}. Set model.dropout=0.0 for none.")
