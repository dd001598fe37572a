"""Adagrad, diagonal form."""

import keras
import tensorflow as tf

from rectrain.optimizers.touched_rows import NOT_NEGATIVE, TouchedRowsOptimizer, require


class Adagrad(TouchedRowsOptimizer):
    """n += g^2;  w -= learning_rate * g / (sqrt(n) + epsilon).

    Updating only touched rows is exact: without gradient neither n nor w moves.

    Source: Duchi et al. 2011, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization".
    """

    def __init__(self, *, learning_rate, initial_accumulator_value: float, epsilon: float, name: str):
        super().__init__(learning_rate=learning_rate, name=name, slots=("n",))
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def initial_slot(self, name, weight, shape, dtype):
        return tf.fill(shape, tf.cast(self.initial_accumulator_value, dtype))

    def rule(self, gradient, weight, n, *, learning_rate, path):
        n = n + self.squares(gradient, path)
        # 0 / 0, a zero gradient before any other, is no move.
        return weight - tf.math.divide_no_nan(learning_rate * gradient, tf.sqrt(n) + self.epsilon), n

    def squares(self, gradient, path: str):
        """What a gradient adds to the accumulator."""
        return tf.square(gradient)


def build(*, learning_rate: float, initial_accumulator_value: float, epsilon: float) -> keras.optimizers.Optimizer:
    require(NOT_NEGATIVE, initial_accumulator_value=initial_accumulator_value, epsilon=epsilon)
    return Adagrad(
        learning_rate=learning_rate,
        initial_accumulator_value=initial_accumulator_value,
        epsilon=epsilon,
        name="adagrad",
    )
