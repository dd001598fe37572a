"""Plain stochastic gradient descent."""

import keras

from rectrain.optimizers.touched_rows import TouchedRowsOptimizer


class SGD(TouchedRowsOptimizer):
    """w -= learning_rate * g.

    Without momentum, whose velocity would move untouched rows too: only then is updating touched rows exact.
    """

    def __init__(self, *, learning_rate):
        super().__init__(learning_rate=learning_rate, name="sgd", slots=())

    def rule(self, gradient, weight, *, learning_rate, path):
        return (weight - learning_rate * gradient,)


def build(*, learning_rate: float) -> keras.optimizers.Optimizer:
    return SGD(learning_rate=learning_rate)
