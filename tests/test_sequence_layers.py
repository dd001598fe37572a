"""Layers that read histories, against their NumPy twins and against numbers worked out by hand."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from rectrain.errors import InputError
from rectrain.layers import soft_search
from rectrain.layers.dice import Dice
from rectrain.layers.din import ActivationUnit
from rectrain.layers.history_attention import SelfAttention, TargetAttention
from rectrain.layers.masked_softmax import masked_softmax
from rectrain.layers.pooling import MeanPooling, SumPooling, WeightedPooling
from rectrain.layers.small_tables import small_look_up
from rectrain.layers.soft_search import SoftSearch, best_steps, evenly_spaced_steps, score_weighted_sum
from rectrain.layers.valid_steps import ValidSteps
from tests.reference import layers as reference

LENGTHS = [0, 3, 1, 5, 2]
each_padding = pytest.mark.parametrize("steps", [5, 6, 9])
each_extras = pytest.mark.parametrize("extras", [0, 2])


def history(lengths, steps, *, width=3, extras=2, seed=0):
    """Random real steps that do not depend on the padding, in which large numbers stand."""
    rng = np.random.default_rng(seed)
    valid = np.arange(steps) < np.array(lengths, int).reshape(-1, 1)
    packed = {"query": rng.normal(size=(len(lengths), width)).astype("float32"), "valid": valid}
    for name, size in {"keys": width, "extras": extras}.items():
        values = np.full((*valid.shape, size), 77.0, "float32")
        for row, length in enumerate(lengths):
            values[row, :length] = rng.normal(size=(length, size))
        packed[name] = values
    if not extras:
        del packed["extras"]
    return packed


def rows_of(packed):
    """(query, keys, extras) of each row, real steps alone, in float64."""
    for row, valid in enumerate(packed["valid"]):
        keys = packed["keys"][row][valid].astype("float64")
        extras = packed["extras"][row][valid].astype("float64") if "extras" in packed else np.zeros((len(keys), 0))
        yield packed["query"][row].astype("float64"), list(keys), list(extras)


def unit(*, units=(4,), activation="relu", softmax=False, scaling=False):
    return ActivationUnit(units=list(units), activation=activation, softmax=softmax, scaling=scaling, name="unit")


def self_attention(*, positions=False):
    return SelfAttention(num_heads=2, head_width=3, max_length=9, positions=positions, name="self")


def target_attention():
    return TargetAttention(num_heads=2, head_width=4, name="target")


def random_weights(layer, packed):
    layer(packed)
    return reference.set_random_weights(layer, seed=1)


@each_padding
@each_extras
@pytest.mark.parametrize(("softmax", "scaling"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("activation", ["relu", "prelu", "dice", "sigmoid"])
@pytest.mark.parametrize("units", [(4,), (5, 3)])
def test_activation_unit_matches_numpy(steps, extras, softmax, scaling, activation, units):
    packed = history(LENGTHS, steps, extras=extras)
    layer = unit(units=units, activation=activation, softmax=softmax, scaling=scaling)
    weights = random_weights(layer, packed)
    expected = [
        reference.activation_unit(
            weights,
            *row,
            name="unit",
            num_layers=len(units),
            activation=activation,
            softmax_=softmax,
            scaling=scaling,
        )
        for row in rows_of(packed)
    ]
    np.testing.assert_allclose(layer(packed), expected, rtol=1e-4, atol=1e-5)


@each_padding
@each_extras
@pytest.mark.parametrize("positions", [False, True])
def test_self_attention_matches_numpy_and_leaves_zeros_in_the_padding(steps, extras, positions):
    packed = history(LENGTHS, steps, extras=extras)
    layer = self_attention(positions=positions)
    weights = random_weights(layer, packed)
    received = layer(packed).numpy()
    for row, (_, keys, of_extras) in enumerate(rows_of(packed)):
        expected = reference.self_attention(weights, keys, of_extras, name="self", num_heads=2, positions=positions)
        if keys:
            np.testing.assert_allclose(received[row, : len(keys)], expected, rtol=1e-3, atol=1e-4)
        assert not np.any(received[row, len(keys) :])


@each_padding
@each_extras
def test_target_attention_matches_numpy(steps, extras):
    packed = history(LENGTHS, steps, extras=extras)
    layer = target_attention()
    weights = random_weights(layer, packed)
    expected = [reference.target_attention(weights, *row, name="target", num_heads=2) for row in rows_of(packed)]
    np.testing.assert_allclose(layer(packed), expected, rtol=1e-4, atol=1e-5)


@each_padding
@pytest.mark.parametrize("pooling", ["sum", "mean", "weighted"])
def test_pooling_matches_numpy(steps, pooling):
    packed = history(LENGTHS, steps)
    keys, valid = packed["keys"], packed["valid"]
    kinds = np.random.default_rng(1).integers(0, 4, valid.shape).astype("int32")
    layers = {"sum": SumPooling(), "mean": MeanPooling(), "weighted": WeightedPooling(4, name="pool")}
    args = (keys, kinds, valid) if pooling == "weighted" else (keys, valid)
    layers[pooling](*args)
    weights = reference.set_random_weights(layers[pooling], seed=1)
    for row, received in enumerate(layers[pooling](*args).numpy()):
        step_weights = None
        if pooling == "weighted":
            step_weights = [np.exp(weights["pool/log_weights"][kind, 0]) for kind in kinds[row][valid[row]]]
        real = list(keys[row][valid[row]].astype("float64"))
        expected = reference.pooled(real, width=3, pooling=pooling, step_weights=step_weights)
        np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)


def test_weighted_pooling_by_hand():
    layer = WeightedPooling(2, name="pool")
    args = np.array([[[1.0], [5.0], [9.0]]], "float32"), np.array([[0, 1, 1]], "int32"), np.array([[True, True, False]])
    np.testing.assert_allclose(layer(*args), [[3.0]])  # starts as the mean
    layer.log_weights.assign(np.log([[1.0], [3.0]]))
    np.testing.assert_allclose(layer(*args), [[(1 + 3 * 5) / 4]], rtol=1e-6)


@pytest.mark.parametrize("layer", [unit(activation="dice"), unit(softmax=True), target_attention()])
def test_an_empty_history_gives_zeros(layer):
    packed = history([0, 2, 0], 4)
    random_weights(layer, packed)
    received = layer(packed).numpy()
    assert not np.any(received[[0, 2]])
    assert np.all(received[1])
    assert not np.any(layer(history([0, 0], 1)).numpy())
    assert layer(history([], 1)).shape[0] == 0


@pytest.mark.parametrize("layer_of", [unit, target_attention])
def test_the_order_of_steps_does_not_count(layer_of):
    packed = history([5, 3], 5)
    layer, order = layer_of(), np.array([[3, 0, 4, 2, 1], [2, 0, 1, 3, 4]])
    other = {**packed, **{k: np.take_along_axis(packed[k], order[..., None], axis=1) for k in ("keys", "extras")}}
    np.testing.assert_allclose(layer(packed), layer(other), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("positions", [False, True])
def test_self_attention_follows_a_permutation_of_the_steps_but_for_positions(positions):
    packed = history([5, 3], 5)
    layer, order = self_attention(positions=positions), np.array([[3, 0, 4, 2, 1], [2, 0, 1, 3, 4]])[..., None]
    random_weights(layer, packed)
    other = {**packed, **{k: np.take_along_axis(packed[k], order, axis=1) for k in ("keys", "extras")}}
    moved = np.take_along_axis(layer(packed).numpy(), order, axis=1)
    assert np.allclose(layer(other), moved, rtol=1e-4, atol=1e-5) == (not positions)


@pytest.mark.parametrize("layer", [unit(activation="dice"), self_attention(positions=True), target_attention()])
def test_gradients_skip_the_padding_and_reach_all_else(layer):
    packed = {k: tf.constant(v) for k, v in history([5, 0, 2], 6).items()}
    random_weights(layer, packed)
    inputs = [packed[k] for k in ("query", "keys", "extras")]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(packed, training=True) ** 2)
    of_inputs, of_weights = tape.gradient(loss, [inputs, [w.value for w in layer.trainable_weights]])
    assert all(isinstance(g, tf.Tensor) and np.any(g) for g in of_weights)  # dense ones, of small weights too
    for gradient in of_inputs[1:]:
        assert not np.any(gradient[~packed["valid"].numpy()])
        assert np.any(gradient, axis=-1)[packed["valid"].numpy()].all()


@pytest.mark.parametrize("layer_of", [unit, self_attention, target_attention])
def test_bfloat16_is_near_float32(layer_of):
    packed = history(LENGTHS, 6)
    exact = layer_of()
    exact(packed)
    reference.set_random_weights(exact, seed=1, scale=0.3)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        rounded = layer_of()
        rounded(packed)
        reference.set_random_weights(rounded, seed=1, scale=0.3)
        received = rounded(packed)
    finally:
        keras.config.set_dtype_policy("float32")
    assert received.dtype == "bfloat16"
    np.testing.assert_allclose(tf.cast(received, "float32"), exact(packed), atol=0.1)


def test_masked_softmax_by_hand():
    valid = np.array([[True, True, False], [False, False, False], [False, True, False]])
    scores = np.log(np.array([[1.0, 3.0, 9.0], [1.0, 2.0, 3.0], [5.0, 1.0, 5.0]], "float32"))
    np.testing.assert_allclose(masked_softmax(scores, valid), [[0.25, 0.75, 0], [0, 0, 0], [0, 1, 0]], rtol=1e-6)


def test_small_look_up_gives_a_dense_gradient_with_repeated_rows_summed():
    weight = keras.Variable(np.arange(6.0).reshape(3, 2))
    with tf.GradientTape() as tape:
        rows = small_look_up(weight.value, np.array([[2, 0], [2, 2]]))
        loss = tf.reduce_sum(rows * np.array([1.0, 10.0], "float32"))
    np.testing.assert_array_equal(rows, [[[4, 5], [0, 1]], [[4, 5], [4, 5]]])
    np.testing.assert_array_equal(tape.gradient(loss, weight.value), [[1, 10], [0, 0], [3, 30]])


@pytest.mark.parametrize("lengths", [[2, 0, 3, 0], [0, 0], [1], []])
def test_real_steps_are_packed_and_come_back(lengths):
    packed = history(lengths, 3)
    steps, x, row_vectors = ValidSteps(packed["valid"]), tf.constant(packed["keys"]), tf.constant(packed["query"])
    with tf.GradientTape() as tape:
        tape.watch([x, row_vectors])
        flat, repeated = steps.pack(x), steps.repeat(row_vectors)
        back = steps.unpack(flat)
        loss = tf.reduce_sum(back**2) + tf.reduce_sum(repeated**2)
    valid, length = packed["valid"], valid_counts(packed)
    np.testing.assert_array_equal(flat, packed["keys"][valid])
    np.testing.assert_array_equal(back, packed["keys"] * valid[..., None])
    np.testing.assert_array_equal(repeated, packed["query"].repeat(length, axis=0))
    of_x, of_rows = tape.gradient(loss, [x, row_vectors])
    np.testing.assert_allclose(of_x, 2 * packed["keys"] * valid[..., None])
    np.testing.assert_allclose(of_rows, 2 * packed["query"] * length[:, None], rtol=1e-5)


def valid_counts(packed):
    return packed["valid"].sum(axis=1)


def plain_dice(x, alpha):
    """float64 tensors; differentiated by TensorFlow."""
    mean, variance = tf.nn.moments(x, axes=[0])
    p = tf.sigmoid((x - mean) / tf.sqrt(variance + 1e-8))
    return p * x + (1 - p) * alpha * x


def test_dice_in_training_has_the_values_and_gradients_of_the_formula():
    rng = np.random.default_rng(0)
    x, upstream = rng.normal(2.0, 3.0, size=(2, 50, 3))
    layer = Dice()
    layer(x.astype("float32"))
    alpha = reference.set_random_weights(layer, seed=1)[layer.alpha.path]
    results = []
    for call, dtype, weight in (
        (lambda inputs, _: layer(inputs, training=True), "float32", layer.alpha.value),
        (plain_dice, "float64", tf.constant(alpha)),
    ):
        inputs = tf.constant(x, dtype)
        with tf.GradientTape() as tape:
            tape.watch([inputs, weight])
            y = call(inputs, weight)
            loss = tf.reduce_sum(y * tf.constant(upstream, dtype))
        results.append([y, *tape.gradient(loss, [inputs, weight])])
    for received, expected in zip(*results, strict=True):
        np.testing.assert_allclose(received, expected, rtol=1e-3, atol=1e-4)


def test_dice_moves_its_statistics_in_training_and_uses_them_else():
    layer, x = Dice(name="dice"), np.random.default_rng(0).normal(5.0, 2.0, size=(40, 2)).astype("float32")
    layer(x)
    weights = reference.set_random_weights(layer, seed=1)
    before_mean, before_variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    expected = [reference.activated(weights, row, kind="dice", name="dice") for row in x.astype("float64")]
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4)
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.9 * before_mean + 0.1 * x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.9 * before_variance + 0.1 * x.var(0), rtol=1e-5)


def test_dice_of_no_step_keeps_its_statistics():
    layer = Dice()
    layer(np.ones((3, 2), "float32"), training=True)
    before = [w.numpy() for w in layer.weights]
    assert layer(np.zeros((0, 2), "float32"), training=True).shape == (0, 2)
    for weight, value in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


def check_dice_on_two_replicas():
    """Runs in a process of its own: logical devices cannot be changed once TensorFlow has started."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    x = np.random.default_rng(0).normal(1.0, 2.0, size=(9, 2)).astype("float32")
    alone = Dice()
    with tf.GradientTape() as tape:
        inputs = tf.constant(x)
        tape.watch(inputs)
        loss = tf.reduce_sum(alone(inputs, training=True) ** 2)
    expected = tape.gradient(loss, inputs)
    with strategy.scope():
        layer = Dice()
        layer.build((None, 2))

    @tf.function(autograph=False)
    def gradients():
        def replica():
            first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
            part = tf.cond(first, lambda: tf.constant(x[:6]), lambda: tf.constant(x[6:]))  # unequal shares
            with tf.GradientTape() as tape:
                tape.watch(part)
                loss = tf.reduce_sum(layer(part, training=True) ** 2)
            return tape.gradient(loss, part)

        return strategy.experimental_local_results(strategy.run(replica))

    np.testing.assert_allclose(np.concatenate([g.numpy() for g in gradients()]), expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), alone.moving_variance.numpy(), rtol=1e-5)


def test_dice_has_the_statistics_of_all_replicas():
    code = "from tests.test_sequence_layers import check_dice_on_two_replicas; check_dice_on_two_replicas()"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=True)


def test_search_scores_are_those_of_the_projections():
    packed = history(LENGTHS, 6, extras=0)
    layer = SoftSearch(name="search")
    layer(packed["query"])
    weights = reference.set_random_weights(layer, seed=1)
    aims = layer(packed["query"]).numpy()
    received = score_weighted_sum(aims, packed["keys"], packed["valid"])
    for row, (query, keys, _) in enumerate(rows_of(packed)):
        scores = reference.search_scores(weights, query, keys, name="search")
        np.testing.assert_allclose([aims[row] @ key for key in keys], scores, rtol=1e-4, atol=1e-5)
        expected = sum((s * k for s, k in zip(scores, keys, strict=True)), start=np.zeros(3))
        np.testing.assert_allclose(received[row], expected, rtol=1e-4, atol=1e-5)


def test_a_search_begins_with_inner_products():
    packed = history(LENGTHS, 6, extras=0)
    np.testing.assert_allclose(SoftSearch(name="search")(packed["query"]), packed["query"])


@pytest.mark.parametrize("chunk", [1, 2, 5, 100])  # steps at a time
@pytest.mark.parametrize("num_found", [1, 3, 12])
@pytest.mark.parametrize("shift", [0.0, -50.0])  # all real scores negative: padding must not win
def test_best_steps_are_the_best_of_the_real_ones_however_they_are_cut(chunk, num_found, shift, monkeypatch):
    lengths = [0, 7, 3, 10]
    monkeypatch.setattr(soft_search, "_CHUNK", chunk * len(lengths))
    rng = np.random.default_rng(0)
    scores = (rng.normal(size=(4, 10)) + shift).astype("float32")
    valid = np.arange(10) < np.array(lengths)[:, None]
    scores[~valid] = 1000.0

    def search(scores, valid):
        return best_steps(lambda start, stop: scores[:, start:stop], valid, num_found)

    steps, found = tf.function(search, autograph=False)(tf.constant(scores), tf.constant(valid))
    for row, length in enumerate(lengths):
        expected = reference.best(scores[row, :length].tolist(), num_found)
        assert steps.numpy()[row][found.numpy()[row]].tolist() == expected


def test_evenly_spaced_steps_by_hand():
    valid = np.arange(9) < np.array([[0], [2], [3], [7], [9]])
    steps, found = evenly_spaced_steps(valid, 3)
    received = [s[f].tolist() for s, f in zip(steps.numpy(), found.numpy(), strict=True)]
    assert received == [[], [0, 1], [0, 1, 2], [0, 2, 4], [0, 3, 6]]


@pytest.mark.parametrize("units", [[], [4, 0]])
def test_activation_unit_refuses_missing_or_empty_layers(units):
    with pytest.raises(InputError, match=r"model\.attention_units"):
        unit(units=units)
