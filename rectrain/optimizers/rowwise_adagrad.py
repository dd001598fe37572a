"""Adagrad with one accumulator for each row of a table."""

import keras
import tensorflow as tf

from rectrain.optimizers.adagrad import Adagrad
from rectrain.optimizers.touched_rows import NOT_NEGATIVE, require


class RowwiseAdagrad(Adagrad):
    """n += mean of g^2 over the row;  w -= learning_rate * g / (sqrt(n) + epsilon).

    A table's state is one number a row instead of one a weight. All other weights move as under Adagrad. Updating only
    touched rows is exact.

    Source: Mudigere et al. 2022, "Software-Hardware Co-design for Fast and Scalable Training of Deep Learning
    Recommendation Models", arXiv:2104.05158, section 4.1.
    """

    elementwise = False

    def slot_shape(self, name, weight):
        return (weight.shape[0], 1) if weight.path.endswith("/table") else weight.shape

    def squares(self, gradient, path):
        squares = tf.square(gradient)
        return tf.reduce_mean(squares, axis=1, keepdims=True) if path.endswith("/table") else squares


def build(*, learning_rate: float, initial_accumulator_value: float, epsilon: float) -> keras.optimizers.Optimizer:
    require(NOT_NEGATIVE, initial_accumulator_value=initial_accumulator_value, epsilon=epsilon)
    return RowwiseAdagrad(
        learning_rate=learning_rate,
        initial_accumulator_value=initial_accumulator_value,
        epsilon=epsilon,
        name="rowwise_adagrad",
    )
