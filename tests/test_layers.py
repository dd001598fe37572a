"""Layers against their NumPy twins and against numbers worked out by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rectrain.errors import InputError
from rectrain.layers.attention import InteractingLayer
from rectrain.layers.cross import MatrixCrossNetwork, VectorCrossNetwork
from rectrain.layers.fields_dense import FieldsDense
from rectrain.layers.fm import PairwiseInteractions
from rectrain.layers.mlp import MLP, Logit
from tests.reference import layers as reference

each_size = pytest.mark.parametrize("rows", [0, 1, 6])


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.fixture(params=["float32", "mixed_bfloat16"])
def precision(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


def assert_matches(layer, x, twin):
    """Builds the layer on one row, gives it random weights, and compares all rows of x with the twin's."""
    layer(np.zeros((1, *x.shape[1:]), "float32"))
    weights = reference.set_random_weights(layer, seed=1)
    received = layer(x)
    assert received.shape[0] == len(x)
    if len(x):
        np.testing.assert_allclose(received, [twin(weights, row) for row in x.astype("float64")], rtol=1e-4, atol=1e-5)


@each_size
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("hidden_units", [[4], [5, 2, 3]])
def test_mlp_matches_numpy(rows, hidden_units, batch_norm):
    layer = MLP(hidden_units, dropout=0.5, batch_norm=batch_norm)
    assert_matches(
        layer,
        normal(rows, 7),
        lambda weights, x: reference.mlp(weights, x, num_layers=len(hidden_units), batch_norm=batch_norm),
    )


def test_mlp_drops_units_in_training_and_scales_the_others_up():
    layer = MLP([2000], dropout=0.25, batch_norm=False)
    x = np.ones((1, 3), "float32")
    kept = layer(x).numpy()[0]
    trained = layer(x, training=True).numpy()[0]
    active = kept > 0
    dropped = trained[active] == 0
    assert dropped.mean() == pytest.approx(0.25, abs=0.05)
    np.testing.assert_allclose(trained[active][~dropped], kept[active][~dropped] / 0.75, rtol=1e-5)
    assert np.any(layer(x, training=True).numpy() != trained)
    np.testing.assert_array_equal(layer(x)[0], kept)


def test_batch_norm_uses_the_batch_in_training_and_moves_its_statistics(precision):
    x = normal(50, 4)
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        mlp = MLP([3], dropout=0.0, batch_norm=True)
        mlp(x)
    weights = reference.set_random_weights(mlp, seed=2)
    received = tf.function(lambda: strategy.run(lambda: mlp(x, training=True)))()
    assert received.dtype == ("float32" if precision == "float32" else "bfloat16")
    dense = x @ weights["mlp/dense_0/kernel"]
    mean, variance = dense.mean(0), dense.var(0)
    normalized = (dense - mean) / np.sqrt(variance + 1e-5)
    expected = np.maximum(weights["mlp/batch_norm_0/gamma"] * normalized + weights["mlp/batch_norm_0/beta"], 0)
    tolerance = 1e-4 if precision == "float32" else 2e-2
    np.testing.assert_allclose(tf.cast(received, "float32"), expected, rtol=tolerance, atol=tolerance)
    moved = 0.9 * weights["mlp/batch_norm_0/moving_variance"] + 0.1 * variance
    np.testing.assert_allclose(mlp.norms[0].moving_variance.numpy(), moved, rtol=tolerance)


@each_size
def test_logit_matches_numpy(rows):
    assert_matches(Logit(), normal(rows, 5), lambda weights, x: reference.logit(weights, x, name="logit"))


@each_size
@pytest.mark.parametrize("num_fields", [1, 2, 5])
def test_pairs_match_numpy(rows, num_fields):
    fields = normal(rows, num_fields, 3)
    expected = [reference.pairs(row) for row in fields.astype("float64")]
    np.testing.assert_allclose(PairwiseInteractions()({"fields": fields}), expected, rtol=1e-4, atol=1e-5)


def unmultiplied(rows, num_fields, num_numeric, width=3):
    """Fields as layers take them, and the same with each product made: float64 (B, F + N, D)."""
    looked_up, numbers, vectors = normal(rows, num_fields, width), normal(rows, num_numeric), normal(num_numeric, width)
    fields = {"fields": looked_up} if num_fields else {}
    fields |= {"numbers": numbers, "number_vectors": vectors} if num_numeric else {}
    products = numbers.astype("float64")[:, :, None] * vectors
    return fields, np.concatenate([looked_up, products], axis=1)


NUMERIC_FIELDS = pytest.mark.parametrize(("num_fields", "num_numeric"), [(3, 2), (0, 2), (1, 1), (4, 0)])


@each_size
@NUMERIC_FIELDS
def test_pairs_of_numeric_fields_match_those_of_their_products(rows, num_fields, num_numeric):
    fields, products = unmultiplied(rows, num_fields, num_numeric)
    expected = [reference.pairs(row) for row in products]
    np.testing.assert_allclose(PairwiseInteractions()(fields), expected, rtol=1e-4, atol=1e-4)


@NUMERIC_FIELDS
def test_gradients_of_pairs_are_those_of_the_plain_form(num_fields, num_numeric):
    fields, _ = unmultiplied(5, num_fields, num_numeric)
    fields = {name: tf.constant(value) for name, value in fields.items()}
    weights = tf.constant(normal(5))

    def plain(fields):
        products = [fields["fields"]] if num_fields else []
        if num_numeric:
            products.append(fields["numbers"][..., None] * fields["number_vectors"])
        x = tf.concat(products, axis=1)
        return (
            sum(tf.reduce_sum(x[:, i] * x[:, j], axis=1) for i in range(x.shape[1]) for j in range(i)) + 0 * x[:, 0, 0]
        )

    found, expected = [], []
    for form, gradients in ((PairwiseInteractions(), found), (plain, expected)):
        with tf.GradientTape() as tape:
            tape.watch(fields)
            loss = tf.reduce_sum(form(fields) * weights)
        gradients.append(tape.gradient(loss, fields))
    for name in fields:
        np.testing.assert_allclose(found[0][name], expected[0][name], rtol=1e-4, atol=1e-4)


@NUMERIC_FIELDS
@pytest.mark.parametrize("use_bias", [True, False])
def test_dense_of_fields_matches_that_of_their_products(num_fields, num_numeric, use_bias):
    fields, products = unmultiplied(5, num_fields, num_numeric)
    layer = FieldsDense(4, use_bias=use_bias, name="dense")
    layer(fields)
    weights = reference.set_random_weights(layer, seed=2)
    expected = products.reshape(5, -1) @ weights["dense/kernel"] + (weights["dense/bias"] if use_bias else 0)
    np.testing.assert_allclose(layer(fields), expected, rtol=1e-4, atol=1e-4)


def test_a_logit_of_parts_is_that_of_the_parts_side_by_side():
    parts = [normal(4, 3), normal(4, 2), normal(4, 6)]
    layer = Logit()
    layer(parts)
    weights = reference.set_random_weights(layer, seed=3)
    expected = [reference.logit(weights, row, name="logit") for row in np.concatenate(parts, axis=1)]
    np.testing.assert_allclose(layer(parts), expected, rtol=1e-4, atol=1e-5)


def test_pairs_by_hand_count_each_pair_once():
    two = np.array([[[1.0, 2.0], [3.0, 5.0]]], "float32")  # <v1, v2> = 1 * 3 + 2 * 5
    np.testing.assert_array_equal(PairwiseInteractions()({"fields": two}), [13.0])


def test_pairs_of_rounded_vectors_add_up_in_float32(precision):
    fields = tf.cast(normal(4, 39, 16), "bfloat16")
    received = PairwiseInteractions()({"fields": fields})
    assert received.dtype == tf.float32
    expected = [reference.pairs(row) for row in np.asarray(fields, "float64")]
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-4)


@each_size
@pytest.mark.parametrize("num_crosses", [0, 1, 3])
def test_vector_cross_matches_numpy(rows, num_crosses):
    assert_matches(
        VectorCrossNetwork(num_crosses),
        normal(rows, 4),
        lambda weights, x: reference.vector_cross(weights, x, num_crosses=num_crosses),
    )


@each_size
@pytest.mark.parametrize("rank", [None, 1, 3, 4])
@pytest.mark.parametrize("num_crosses", [0, 1, 3])
def test_matrix_cross_matches_numpy(rows, num_crosses, rank):
    assert_matches(
        MatrixCrossNetwork(num_crosses, rank=rank),
        normal(rows, 4),
        lambda weights, x: reference.matrix_cross(weights, x, num_crosses=num_crosses, rank=rank),
    )


def test_crosses_by_hand():
    x = np.array([[2.0, 3.0]], "float32")
    vector, matrix = VectorCrossNetwork(1), MatrixCrossNetwork(1, rank=None)
    vector(x)
    matrix(x)
    vector.kernels[0].assign([[10.0], [1.0]])  # x . w = 23
    vector.biases[0].assign([0.5, 0.25])
    np.testing.assert_array_equal(vector(x), [[2 * 23 + 0.5 + 2, 3 * 23 + 0.25 + 3]])
    matrix.factors[0][0].assign([[1.0, 10.0], [100.0, 1000.0]])  # rows of x @ kernel: 302, 3020
    matrix.biases[0].assign([0.5, 0.25])
    np.testing.assert_array_equal(matrix(x), [[2 * 302.5 + 2, 3 * 3020.25 + 3]])


@pytest.mark.parametrize("network", [VectorCrossNetwork(2), MatrixCrossNetwork(2, rank=None)])
def test_crosses_of_zero_weight_pass_their_input_on(network):
    x = normal(3, 4)
    network(x)
    for weight in network.weights:
        weight.assign(np.zeros(weight.shape))
    np.testing.assert_array_equal(network(x), x)


def interacting(*, head_width=3, residual=True, scaling=False, layer_norm=False):
    knobs = {"head_width": head_width, "residual": residual, "scaling": scaling, "layer_norm": layer_norm}
    return InteractingLayer(num_heads=2, **knobs, name="interacting")


@each_size
@pytest.mark.parametrize("scaling", [False, True])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("head_width", [2, 3])  # 2 heads: as wide as the input (4), and wider
def test_interacting_layer_matches_numpy(rows, head_width, layer_norm, residual, scaling):
    knobs = {"residual": residual, "scaling": scaling, "layer_norm": layer_norm}
    assert_matches(
        interacting(head_width=head_width, **knobs),
        normal(rows, 5, 4),
        lambda weights, fields: reference.interacting(weights, fields, name="interacting", num_heads=2, **knobs),
    )


def test_interacting_layer_has_a_residual_matrix_only_where_widths_differ():
    same, wider, without = interacting(head_width=2), interacting(head_width=3), interacting(residual=False)
    for layer in (same, wider, without):
        layer(normal(1, 5, 4))
    assert [layer.count_params() for layer in (same, wider, without)] == [3 * 4 * 4, 4 * 4 * 6, 3 * 4 * 6]


def test_interacting_layer_follows_a_permutation_of_the_fields():
    layer, x, order = interacting(), normal(2, 5, 4), [3, 0, 4, 1, 2]
    np.testing.assert_allclose(layer(x[:, order]), np.asarray(layer(x))[:, order], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hidden_units", [[], [4, 0], [-1]])
def test_mlp_refuses_missing_or_empty_layers(hidden_units):
    with pytest.raises(InputError, match=r"model\.hidden_units"):
        MLP(hidden_units, dropout=0.0, batch_norm=False)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_mlp_refuses_dropout_outside_its_range(dropout):
    with pytest.raises(InputError, match=r"model\.dropout"):
        MLP([4], dropout=dropout, batch_norm=False)


@pytest.mark.parametrize("rank", [0, -1, 5])
def test_matrix_cross_refuses_a_rank_outside_its_range(rank):
    with pytest.raises(InputError, match=r"\[1, 4\].*model\.cross_rank"):
        MatrixCrossNetwork(1, rank=rank)(normal(1, 4))
