"""Stochastic (online) gradient descent, with rates that fall or not and L1 by truncation."""

import keras
import tensorflow as tf

from rectrain.errors import InputError, did_you_mean
from rectrain.optimizers.rates import RATES
from rectrain.optimizers.touched_rows import NOT_NEGATIVE, TouchedRowsOptimizer, require


class SGD(TouchedRowsOptimizer):
    """w -= rate * g;  then w is pulled towards 0 by rate * lambda1, and stops there.

    The rate of step t = 1, 2, ... of the run is learning_rate, learning_rate / sqrt(t), or of each weight
    learning_rate / sqrt(sum of its squared gradients, this one included): 0 before the first that is not 0. Biases get
    no L1: the base rate is not a feature to select.

    Without momentum, whose velocity would move untouched rows too. A row without gradient is not pulled either, so that
    a step costs what its batch holds: a weight shrinks when its value occurs, as under FTRL.

    Sources: Zinkevich 2003, "Online Convex Programming and Generalized Infinitesimal Gradient Ascent" (rates that fall
        with the steps); Langford, Li and Zhang 2009, "Sparse Online Learning via Truncated Gradient", arXiv:0806.4686,
        with K = 1 and no upper threshold; the sums are those of Duchi et al. 2011 (Adagrad).
    """

    def __init__(self, *, learning_rate, rates: str, lambda1: float):
        super().__init__(learning_rate=learning_rate, name="sgd", slots=("n",) if rates == "per_coordinate" else ())
        self.rates, self.lambda1 = rates, lambda1

    def rule(self, gradient, weight, *slots, learning_rate, path):
        rate = learning_rate
        if self.rates == "inverse_sqrt":
            rate = learning_rate / tf.sqrt(tf.cast(self.iterations + 1, weight.dtype))
        elif self.rates == "per_coordinate":
            slots = (slots[0] + tf.square(gradient),)
            rate = tf.math.divide_no_nan(learning_rate, tf.sqrt(slots[0]))
        weight = weight - rate * gradient
        if self.lambda1 > 0 and not path.endswith("bias"):
            pull = rate * self.lambda1
            weight = weight - tf.clip_by_value(weight, -pull, pull)  # exactly 0 within the pull
        return weight, *slots


def build(*, learning_rate: float, rates: str, lambda1: float) -> keras.optimizers.Optimizer:
    if rates not in RATES:
        raise InputError(f"rates={rates!r}: expected one of {', '.join(RATES)}.{did_you_mean(rates, RATES)}")
    require(NOT_NEGATIVE, lambda1=lambda1)
    return SGD(learning_rate=learning_rate, rates=rates, lambda1=lambda1)
