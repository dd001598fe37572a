import numpy as np
import pytest
import tensorflow as tf

from rectrain.errors import InputError
from rectrain.optimizers.schedules import Schedule
from tests.reference.optimizers import schedule_factor


def schedule(**knobs):
    knobs = {"warmup_steps": 0, "decay": "constant", "decay_steps": 20, "final_fraction": 0.1} | knobs
    return Schedule(learning_rate=0.5, plateau_scale=tf.Variable(1.0), **knobs)


@pytest.mark.parametrize("decay", ["constant", "linear", "cosine", "inverse_sqrt"])
@pytest.mark.parametrize("warmup_steps", [0, 1, 7, 19])
def test_schedule_matches_numpy_in_graph_and_past_the_end(decay, warmup_steps):
    knobs = {"warmup_steps": warmup_steps, "decay": decay, "decay_steps": 20, "final_fraction": 0.1}
    rate = tf.function(schedule(**knobs), input_signature=[tf.TensorSpec((), tf.int64)])
    rates = [rate(tf.constant(k, tf.int64)).numpy() for k in range(25)]
    np.testing.assert_allclose(rates, [0.5 * schedule_factor(k, **knobs) for k in range(25)], rtol=1e-6)


def test_hand_worked_rates():
    np.testing.assert_allclose([schedule(warmup_steps=4)(k) for k in range(5)], [0.125, 0.25, 0.375, 0.5, 0.5])
    linear = schedule(decay="linear", decay_steps=3, final_fraction=0.5)
    np.testing.assert_allclose([linear(k) for k in range(4)], [0.5, 0.375, 0.25, 0.25])
    cosine = schedule(decay="cosine", decay_steps=3, final_fraction=0.0)
    np.testing.assert_allclose([cosine(k) for k in range(3)], [0.5, 0.25, 0.0], atol=1e-9)
    np.testing.assert_allclose(schedule(decay="inverse_sqrt", warmup_steps=4)(15), 0.25)


def test_plateau_scale_multiplies_every_schedule_that_shares_it():
    scale = tf.Variable(1.0)
    knobs = {"warmup_steps": 0, "decay": "constant", "decay_steps": 1, "final_fraction": 1.0, "plateau_scale": scale}
    first, second = Schedule(learning_rate=0.4, **knobs), Schedule(learning_rate=0.8, **knobs)
    scale.assign(0.5)
    np.testing.assert_allclose([first(3), second(3)], [0.2, 0.4])


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_warmup_as_long_as_the_run_is_refused_where_a_decay_should_follow(decay):
    with pytest.raises(InputError, match=r"trainer\.schedule\.warmup_steps=20: .*20 steps of the run"):
        schedule(decay=decay, warmup_steps=20)
    assert float(schedule(warmup_steps=40)(0)) == pytest.approx(0.5 / 40)
