"""FTRL-Proximal with per-coordinate learning rates, L1, L2, and a group L1 on whole rows of a table."""

import keras
import tensorflow as tf

from rectrain.optimizers.touched_rows import NOT_NEGATIVE, POSITIVE, TouchedRowsOptimizer, require


class Ftrl(TouchedRowsOptimizer):
    """z += g - (sqrt(n + g^2) - sqrt(n)) / alpha * w;  n += g^2;  then w is a function of z and n alone:

    s = sign(z) * lambda1 - z, 0 where |z| <= lambda1;
    w = max(0, 1 - lambda_group * sqrt(D) / |s|) * s / ((beta + sqrt(n)) / alpha + lambda2), |s| the norm of the row.

    lambda_group acts on rows of tables wider than one number: the vector of a value whose gradients do not add up to
    more than lambda_group * sqrt(D) is exactly zero, all of it. Biases get no L1: the base rate is not a feature to
    select.

    z starts where it stands for the initial weight at n = 0, so that without L1 a vector goes on from its random start
    (FTRL is then Adagrad with its own rate); a linear weight starts at z = 0 as in the paper. Updating only touched
    rows is exact: without gradient neither z nor n moves.

    Sources: McMahan et al. 2013, "Ad Click Prediction: a View from the Trenches", Algorithm 1; for the rows Yue et al.
        2021, "Adaptive Optimizers with Sparse Group Lasso for Neural Networks in CTR Prediction", arXiv:2107.14432.
    """

    def __init__(self, *, alpha: float, beta: float, lambda1: float, lambda2: float, lambda_group: float):
        super().__init__(learning_rate=alpha, name="ftrl", slots=("z", "n"))
        self.alpha, self.beta = alpha, beta
        self.lambda1, self.lambda2, self.lambda_group = lambda1, lambda2, lambda_group
        self.elementwise = lambda_group == 0

    def initial_slot(self, name, weight, shape, dtype):
        if name == "n":
            return tf.zeros(shape, dtype)
        return -(self.beta / self.alpha + self.lambda2) * tf.convert_to_tensor(weight)

    def rule(self, gradient, weight, z, n, *, learning_rate, path):
        alpha = learning_rate
        new_n = n + tf.square(gradient)
        z = z + gradient - (tf.sqrt(new_n) - tf.sqrt(n)) / alpha * weight
        lambda1 = 0.0 if path.endswith("bias") else self.lambda1
        shrunk = tf.clip_by_value(z, -lambda1, lambda1) - z  # exactly 0 where |z| <= lambda1
        if self.lambda_group and path.endswith("/table") and weight.shape[1] > 1:
            shrunk = self._shrink_rows(shrunk)
        # With beta = lambda2 = 0 the divisor is 0 before the first gradient.
        weight = tf.math.divide_no_nan(shrunk, (self.beta + tf.sqrt(new_n)) / alpha + self.lambda2)
        return weight, z, new_n

    def _shrink_rows(self, shrunk_UD):
        norm_U1 = tf.norm(shrunk_UD, axis=1, keepdims=True)
        threshold = self.lambda_group * shrunk_UD.shape[1] ** 0.5
        return tf.maximum(0.0, 1 - tf.math.divide_no_nan(threshold, norm_U1)) * shrunk_UD


def build(
    *, alpha: float, beta: float, lambda1: float, lambda2: float, lambda_group: float
) -> keras.optimizers.Optimizer:
    require(POSITIVE, alpha=alpha)
    require(NOT_NEGATIVE, beta=beta, lambda1=lambda1, lambda2=lambda2, lambda_group=lambda_group)
    return Ftrl(alpha=alpha, beta=beta, lambda1=lambda1, lambda2=lambda2, lambda_group=lambda_group)
