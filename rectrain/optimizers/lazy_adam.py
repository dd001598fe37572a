"""Adam that moves only the rows of a table that a batch touched."""

import keras
import tensorflow as tf

from rectrain.optimizers.touched_rows import BELOW_ONE, POSITIVE, TouchedRowsOptimizer, require


class LazyAdam(TouchedRowsOptimizer):
    """Adam in the main form of the paper: w -= learning_rate * m_hat / (sqrt(v_hat) + epsilon).

    PyTorch's form too. Keras has the other form, with epsilon_hat added to the uncorrected sqrt(v), which is a larger
    epsilon in the first steps. Rows without gradient keep weight and both moments; the bias correction counts all steps
    of the run, not those of a row.

    Source: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", arXiv:1412.6980, Algorithm 1.
    """

    def __init__(self, *, learning_rate, beta1: float, beta2: float, epsilon: float, name: str):
        super().__init__(learning_rate=learning_rate, name=name, slots=("m", "v"))
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def rule(self, gradient, weight, m, v, *, learning_rate, path):
        m = m + (1 - self.beta1) * (gradient - m)
        v = v + (1 - self.beta2) * (tf.square(gradient) - v)
        m_scale, v_scale = self._scales(weight.dtype)
        return weight - learning_rate * m_scale * m / (tf.sqrt(v) * v_scale + self.epsilon), m, v

    def update_dense(self, gradient, states, *, learning_rate, path):
        """The same rule as one kernel instead of fourteen passes; its own bias correction (in float32) is kept out."""
        m_scale, v_scale = self._scales(gradient.dtype)
        tf.raw_ops.ResourceApplyAdam(
            **{name: state.handle for name, state in zip(("var", "m", "v"), states, strict=True)},
            beta1_power=0.0,
            beta2_power=0.0,
            lr=learning_rate * m_scale / v_scale,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon / v_scale,
            grad=gradient,
        )

    def _scales(self, dtype):
        """Factors of m and of sqrt(v) that correct the bias of their start at 0."""
        m_scale = tf.cast(1 / self._correction(self.beta1), dtype)
        return m_scale, tf.cast(1 / tf.sqrt(self._correction(self.beta2)), dtype)

    def _correction(self, beta: float):
        """1 - beta^t, in float64: in float32 it is off by 5e-5 of its value at beta 0.999 and t = 1."""
        return 1 - tf.pow(tf.constant(beta, tf.float64), tf.cast(self.iterations + 1, tf.float64))


def build(*, learning_rate: float, beta1: float, beta2: float, epsilon: float) -> keras.optimizers.Optimizer:
    require(BELOW_ONE, beta1=beta1, beta2=beta2)
    require(POSITIVE, epsilon=epsilon)
    return LazyAdam(learning_rate=learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon, name="lazy_adam")
