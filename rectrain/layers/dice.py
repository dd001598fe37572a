"""Dice, an activation whose bend follows the distribution of its input.

Shape letters: N examples, or real steps of all of them, D width.
"""

import keras
import tensorflow as tf
from keras import ops

_EPSILON = 1e-8  # the paper's


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

    _MOMENTUM = 0.9  # as that of batch norm in mlp.py

    def build(self, x_shape):
        shape = (x_shape[-1],)
        self.alpha = self.add_weight(shape=shape, initializer="zeros", name="alpha")
        statistics = {"shape": shape, "trainable": False, "autocast": False}
        self.moving_mean = self.add_weight(initializer="zeros", name="moving_mean", **statistics)
        self.moving_variance = self.add_weight(initializer="ones", name="moving_variance", **statistics)

    def call(self, x, training=False):
        if not training:
            z_ND = (ops.cast(x, "float32") - self.moving_mean) * ops.rsqrt(self.moving_variance + _EPSILON)
            return x * _bend(self.alpha, ops.sigmoid(ops.cast(z_ND, x.dtype)))
        y_ND, mean_D, variance_D, count = _normalized_dice(x, tf.convert_to_tensor(self.alpha))
        moved = (1 - self._MOMENTUM) * ops.cast(count > 0, "float32")
        for moving, now_D in ((self.moving_mean, mean_D), (self.moving_variance, variance_D)):
            moving.assign(moving + moved * (now_D - moving))
        return y_ND


@tf.custom_gradient
def _normalized_dice(x_ND, alpha_D):
    """Dice with the statistics of the global batch.

    The gradient is written out: it takes half the passes over x of the automatic one, and sums over N as products with
    ones, which take a quarter of the time of tf.reduce_sum.

    Returns:
        float (N, D); mean and variance, float32 (D,), and the number of x of all replicas, float32 (). Without any x
        they are zeros.
    """
    exact_ND = tf.cast(x_ND, tf.float32)
    count = _sum_over_replicas(tf.cast(tf.shape(x_ND)[0], tf.float32))
    mean_D = _sum_over_replicas(_column_sums(exact_ND)) / tf.maximum(count, 1)
    centred_ND = exact_ND - mean_D
    variance_D = _sum_over_replicas(_column_sums(tf.square(centred_ND))) / tf.maximum(count, 1)
    scale_D = tf.math.rsqrt(variance_D + _EPSILON)
    p_ND = tf.sigmoid(tf.cast(centred_ND * scale_D, x_ND.dtype))
    bend_ND = _bend(alpha_D, p_ND)

    def gradient(upstream_ND, *_):
        product_ND = upstream_ND * x_ND
        of_alpha_D = _column_sums(product_ND) - _column_sums(product_ND * p_ND)
        # The derivative by (x - mean) * scale but for the factor 1 - alpha; then what goes through mean and variance.
        of_z_ND = tf.cast(tf.raw_ops.SigmoidGrad(y=p_ND, dy=product_ND), tf.float32)
        factor_D = (1 - tf.cast(alpha_D, tf.float32)) * scale_D
        mean_of_z_D = _sum_over_replicas(_column_sums(of_z_ND)) / tf.maximum(count, 1)
        covariance_D = _sum_over_replicas(_column_sums(of_z_ND * centred_ND)) / tf.maximum(count, 1)
        through_variance_ND = centred_ND * (-factor_D * covariance_D * tf.square(scale_D))
        direct_ND = tf.cast(upstream_ND * bend_ND, tf.float32)
        of_x_ND = tf.add_n([direct_ND, of_z_ND * factor_D, through_variance_ND]) - factor_D * mean_of_z_D
        return tf.cast(of_x_ND, x_ND.dtype), tf.cast(of_alpha_D, alpha_D.dtype)

    return (x_ND * bend_ND, mean_D, variance_D, count), gradient


def _bend(alpha_D, p_ND):
    """alpha where p is 0, 1 where it is 1."""
    return alpha_D + (1 - alpha_D) * p_ND


def _column_sums(x_ND):
    """float32 (D,)."""
    x_ND = tf.cast(x_ND, tf.float32)
    return tf.matmul(tf.ones((1, tf.shape(x_ND)[0])), x_ND)[0]


def _sum_over_replicas(x):
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:  # None: a layer is being built
        return x
    return context.all_reduce(tf.distribute.ReduceOp.SUM, x)
