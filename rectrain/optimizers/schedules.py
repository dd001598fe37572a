"""The learning rate over the steps of a run."""

import math

import keras
import tensorflow as tf

from rectrain.errors import InputError


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """learning_rate * warm-up * decay * plateau scale.

    Sources: Goyal et al. 2017, arXiv:1706.02677 (linear warm-up); Loshchilov and Hutter 2017, arXiv:1608.03983
    (cosine); Vaswani et al. 2017, arXiv:1706.03762 (inverse square root).
    Args:
        learning_rate: the top, > 0.
        warmup_steps: step k = 0, 1, .. below it uses (k + 1) / warmup_steps; 0: no warm-up.
        decay: after the warm-up: "constant"; "linear" or "cosine" down to final_fraction at the last step;
            "inverse_sqrt", sqrt(warmup_steps / (k + 1)).
        decay_steps: steps of the whole run, warm-up included.
        final_fraction: of the learning rate, [0, 1].
        plateau_scale: float32 () variable that other schedules may share.
    Call arguments:
        step: int (), steps already done.
    Returns:
        float32 ().
    """

    def __init__(
        self,
        *,
        learning_rate: float,
        warmup_steps: int,
        decay: str,
        decay_steps: int,
        final_fraction: float,
        plateau_scale: tf.Variable,
    ):
        assert decay in _DECAYS, decay
        if decay in ("linear", "cosine") and warmup_steps >= decay_steps:
            raise InputError(
                f"trainer.schedule.warmup_steps={warmup_steps}: expected fewer than the {decay_steps} steps of the "
                f"run, so that trainer.schedule.decay={decay} has steps left. Lower it, train longer, or set "
                "trainer.schedule.decay=constant."
            )
        self.learning_rate, self.warmup_steps, self.decay_steps = learning_rate, warmup_steps, decay_steps
        self.final_fraction, self.plateau_scale = final_fraction, plateau_scale
        self._decay = _DECAYS[decay]

    def __call__(self, step):
        step = tf.cast(step, tf.float64)  # float32 cannot tell steps beyond 2^24 apart
        warmup = tf.minimum((step + 1) / max(self.warmup_steps, 1), 1)
        return tf.cast(self.learning_rate * warmup * self._decay(self, step), tf.float32) * self.plateau_scale

    def progress(self, step):
        """From 0 at the end of the warm-up to 1 at the last step, and 1 from then on."""
        steps = max(self.decay_steps - 1 - self.warmup_steps, 1)
        return tf.clip_by_value((step - self.warmup_steps) / steps, 0, 1)


def _constant(schedule, step):
    return 1.0


def _linear(schedule, step):
    return 1 - (1 - schedule.final_fraction) * schedule.progress(step)


def _cosine(schedule, step):
    cosine = (1 + tf.cos(math.pi * schedule.progress(step))) / 2
    return schedule.final_fraction + (1 - schedule.final_fraction) * cosine


def _inverse_sqrt(schedule, step):
    top = max(schedule.warmup_steps, 1)
    return tf.sqrt(top / tf.maximum(step + 1, top))


_DECAYS = {"constant": _constant, "linear": _linear, "cosine": _cosine, "inverse_sqrt": _inverse_sqrt}
