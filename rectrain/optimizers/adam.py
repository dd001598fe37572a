"""Adam with dense semantics: every row of a table moves at every step."""

import keras

from rectrain.optimizers.gradients import densify
from rectrain.optimizers.lazy_adam import LazyAdam
from rectrain.optimizers.touched_rows import BELOW_ONE, POSITIVE, require


class Adam(LazyAdam):
    """LazyAdam's rule on whole tables: untouched rows have gradient 0, their moments decay and they drift on.

    The same numbers as torch.optim.Adam; a step costs a pass over the table and its two moments.

    Source: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", arXiv:1412.6980, Algorithm 1.
    """

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(densify(gradient, variable), variable, learning_rate)


def build(*, learning_rate: float, beta1: float, beta2: float, epsilon: float) -> keras.optimizers.Optimizer:
    require(BELOW_ONE, beta1=beta1, beta2=beta2)
    require(POSITIVE, epsilon=epsilon)
    return Adam(learning_rate=learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon, name="adam")
