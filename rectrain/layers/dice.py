"""Dice, an activation whose bend follows the distribution of its input.

Shape letters: N examples, or real steps of all of them, D width.
"""

import keras
import tensorflow as tf
from keras import ops


class Dice(keras.layers.Layer):
    """p(x) * x + (1 - p(x)) * alpha * x with p(x) = sigmoid((x - E[x]) / sqrt(Var[x] + 1e-8)), for each unit.

    In training mean and variance are those of the global batch, else the moving ones. Of a history its real steps alone
    are to be given, so that padding does not count.

    Source: Zhou et al. 2018, "Deep Interest Network for Click-Through Rate Prediction", arXiv:1706.06978, equation 3.
    Call arguments:
        x: float (N, D).
    Returns:
        float (N, D).
    """

    _EPSILON = 1e-8  # the paper's
    _MOMENTUM = 0.9  # as that of batch norm in mlp.py

    def build(self, x_shape):
        shape = (x_shape[-1],)
        self.alpha = self.add_weight(shape=shape, initializer="zeros", name="alpha")
        statistics = {"shape": shape, "trainable": False, "autocast": False}
        self.moving_mean = self.add_weight(initializer="zeros", name="moving_mean", **statistics)
        self.moving_variance = self.add_weight(initializer="ones", name="moving_variance", **statistics)

    def call(self, x, training=False):
        if training:
            mean_D, variance_D = self._batch_statistics(ops.cast(x, "float32"))
        else:
            mean_D, variance_D = ops.cast(self.moving_mean, "float32"), ops.cast(self.moving_variance, "float32")
        scale_D = ops.rsqrt(variance_D + self._EPSILON)
        p_ND = ops.sigmoid(ops.cast((ops.cast(x, "float32") - mean_D) * scale_D, x.dtype))
        return x * (self.alpha + (1 - self.alpha) * p_ND)

    def _batch_statistics(self, x_ND):
        """Mean and variance, float32 (D,), over all replicas; the moving ones follow. Zeros where there is no x."""
        count = _sum_over_replicas(ops.cast(ops.shape(x_ND)[0], "float32"))
        divisor = ops.maximum(count, 1)
        mean_D = _sum_over_replicas(ops.sum(x_ND, axis=0)) / divisor
        variance_D = _sum_over_replicas(ops.sum(ops.square(x_ND - mean_D), axis=0)) / divisor
        moved = (1 - self._MOMENTUM) * ops.cast(count > 0, "float32")
        for moving, now_D in ((self.moving_mean, mean_D), (self.moving_variance, variance_D)):
            moving.assign(moving + moved * (tf.stop_gradient(now_D) - moving))
        return mean_D, variance_D


def _sum_over_replicas(x):
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:  # None: a layer is being built
        return x
    return context.all_reduce(tf.distribute.ReduceOp.SUM, x)
