"""FTRL-Proximal with per-coordinate learning rates, L1 and L2."""

import keras
import tensorflow as tf

from rectrain.optimizers.touched_rows import NOT_NEGATIVE, POSITIVE, TouchedRowsOptimizer, require


class Ftrl(TouchedRowsOptimizer):
    """z += g - (sqrt(n + g^2) - sqrt(n)) / alpha * w;  n += g^2;  then w is a function of z and n alone:

    w = 0 where |z| <= lambda1, else (sign(z) * lambda1 - z) / ((beta + sqrt(n)) / alpha + lambda2).

    Updating only touched rows is exact: without gradient neither z nor n moves. z starts at 0, which stands for w = 0:
    a weight that starts elsewhere is pulled to 0 by its first updates, so this is an optimizer for linear models and
    the wide part. Biases get no L1: the base rate is not a feature to select.

    Source: McMahan et al. 2013, "Ad Click Prediction: a View from the Trenches", Algorithm 1.
    """

    def __init__(self, *, alpha: float, beta: float, lambda1: float, lambda2: float):
        super().__init__(learning_rate=alpha, name="ftrl", slots={"z": 0.0, "n": 0.0})
        self.beta, self.lambda1, self.lambda2 = beta, lambda1, lambda2

    def rule(self, gradient, weight, z, n, *, learning_rate, path):
        alpha = learning_rate
        new_n = n + tf.square(gradient)
        z = z + gradient - (tf.sqrt(new_n) - tf.sqrt(n)) / alpha * weight
        lambda1 = 0.0 if path.endswith("bias") else self.lambda1
        shrunk = tf.clip_by_value(z, -lambda1, lambda1) - z  # exactly 0 where |z| <= lambda1
        # With beta = lambda2 = 0 the divisor is 0 before the first gradient.
        weight = tf.math.divide_no_nan(shrunk, (self.beta + tf.sqrt(new_n)) / alpha + self.lambda2)
        return weight, z, new_n


def build(*, alpha: float, beta: float, lambda1: float, lambda2: float) -> keras.optimizers.Optimizer:
    require(POSITIVE, alpha=alpha)
    require(NOT_NEGATIVE, beta=beta, lambda1=lambda1, lambda2=lambda2)
    return Ftrl(alpha=alpha, beta=beta, lambda1=lambda1, lambda2=lambda2)
