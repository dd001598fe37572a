"""Feature layers against their NumPy twins."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from rectrain.errors import InputError
from rectrain.features.embedding import FieldEmbeddings, flat_features
from rectrain.features.inputs import packed_inputs
from rectrain.features.linear import LinearTerms, fields_and_linear, first_order_tables_apart
from rectrain.features.sequences import Search, SequenceFeatures
from rectrain.features.tables import average_valid, look_up, reader
from rectrain.optimizers.gradients import merge_duplicates
from rectrain.schema import Schema
from tests import samples
from tests.reference import features as reference
from tests.reference import layers
from tests.reference.layers import set_random_weights

SCHEMAS = {
    "all kinds": samples.schema(),
    "categorical and numeric": samples.schema(multi_valued=False, crosses=False),
    "categorical and multi-valued": samples.schema(numeric=0, crosses=False),
    "categorical": samples.schema(numeric=0, multi_valued=False, crosses=False),
    "numeric": Schema("n", (), samples.schema(numeric=3).numeric, (), (), ("click",)),
    "histories": samples.with_histories(),
    "list columns too": samples.with_histories(numeric=0, multi_valued=False, crosses=False, gaps=False, lists=True),
}
each_schema = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
each_size = pytest.mark.parametrize("rows", [0, 1, 6])


def field_embeddings(schema, *, numeric=True, stddev=0.01):
    return FieldEmbeddings(schema, width=3, stddev=stddev, numeric=numeric)


@each_size
@pytest.mark.parametrize(
    ("kinds", "numeric"), [(k, True) for k in SCHEMAS] + [(k, False) for k in SCHEMAS if k != "numeric"]
)
def test_field_embeddings_match_numpy(kinds, numeric, rows):
    schema = SCHEMAS[kinds]
    layer = field_embeddings(schema, numeric=numeric)
    batch = samples.batch(schema, rows, seed=rows)
    layer(samples.batch(schema, 1))
    weights = set_random_weights(layer, seed=1)
    received = layer(batch)
    assert received.shape[0] == rows
    if rows:
        expected = reference.field_embeddings(weights, schema, batch, numeric=numeric)
        np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-6)


@each_size
@each_schema
def test_linear_terms_match_numpy(schema, rows):
    layer = LinearTerms(schema)
    batch = samples.batch(schema, rows, seed=rows)
    layer(samples.batch(schema, 1))
    weights = set_random_weights(layer, seed=2)
    expected = reference.linear_terms(weights, schema, batch)
    np.testing.assert_allclose(layer(batch), expected, rtol=1e-5, atol=1e-6)


@each_size
@each_schema
def test_flat_features_match_numpy(schema, rows):
    inputs = packed_inputs(schema)
    model = keras.Model(inputs, {"flat": flat_features(schema, inputs, width=3, stddev=0.01)})
    batch = samples.batch(schema, rows, seed=rows)
    weights = set_random_weights(model, seed=3)
    received = model({key: batch[key] for key in inputs})["flat"]
    assert received.shape[0] == rows
    if rows:
        np.testing.assert_allclose(received, reference.flat_features(weights, schema, batch), rtol=1e-5, atol=1e-6)


def test_average_counts_real_values_only_and_gives_zeros_for_none():
    x = np.array([[[1.0, 2.0], [3.0, 6.0], [90.0, 90.0]], [[7.0, 7.0], [7.0, 7.0], [7.0, 7.0]]], "float32")
    valid = np.array([[True, True, False], [False, False, False]])
    np.testing.assert_array_equal(average_valid(x, valid), [[2.0, 4.0], [0.0, 0.0]])


@pytest.mark.parametrize("layer_of", [field_embeddings, LinearTerms])
def test_what_stands_in_the_padding_does_not_matter(layer_of):
    schema = samples.schema()
    layer = layer_of(schema)
    batch = samples.batch(schema, 5)
    layer(batch)
    set_random_weights(layer, seed=4)
    other = dict(batch, tags=np.where(batch["tags_valid"], batch["tags"], 20).astype("int32"))
    np.testing.assert_array_equal(layer(batch), layer(other))


@pytest.mark.parametrize("layer_of", [field_embeddings, LinearTerms])
def test_tables_are_never_read_as_a_whole(layer_of):
    layer = layer_of(samples.schema())
    batch = samples.batch(samples.schema(), 4)
    layer(batch)
    operations = tf.function(layer).get_concrete_function(batch).graph.get_operations()
    assert layer.table.shape not in [op.outputs[0].shape for op in operations if op.type == "ReadVariableOp"]
    assert "ResourceGather" in {op.type for op in operations}


def test_crosses_have_linear_weights_and_no_embeddings():
    schema = samples.schema()
    embeddings, linear = field_embeddings(schema), LinearTerms(schema)
    batch = samples.batch(schema, 2)
    embeddings(batch)
    linear(batch)
    assert embeddings.table.shape == (5 + 3 + 7 + 6, 3)
    assert linear.table.shape == (5 + 3 + 7 + 6 + 11, 1)


def test_initial_vectors_have_the_given_spread_and_are_not_copies_of_each_other():
    keras.utils.set_random_seed(0)
    layer = FieldEmbeddings(samples.schema(), width=500, stddev=0.2, numeric=True)
    layer(samples.batch(samples.schema(), 1))
    assert np.std(layer.table.numpy()) == pytest.approx(0.2, rel=0.05)
    assert np.std(layer.numeric_vectors.numpy()) == pytest.approx(0.2, rel=0.1)
    assert not np.any(layer.numeric_vectors.numpy() == layer.table.numpy()[:2])


def test_linear_weights_start_at_zero():
    layer = LinearTerms(samples.schema())
    assert not np.any(layer(samples.batch(samples.schema(), 4)))


@pytest.mark.parametrize(
    ("width", "stddev", "key"),
    [(0, 0.1, "embedding_dim"), (-3, 0.1, "embedding_dim")]
    + [(4, stddev, "embedding_stddev") for stddev in (0.0, -0.1, float("nan"), float("inf"))],
)
def test_wrong_sizes_are_refused_by_key(width, stddev, key):
    with pytest.raises(InputError, match=f"model.{key}"):
        FieldEmbeddings(samples.schema(), width=width, stddev=stddev, numeric=True)


@each_size
@each_schema
@pytest.mark.parametrize("apart", [False, True])
def test_fields_and_first_order_logit_match_numpy_in_one_table_and_in_two(schema, rows, apart):
    inputs = packed_inputs(schema)
    with first_order_tables_apart(apart):
        fields, linear = fields_and_linear(schema, inputs, width=3, stddev=0.01, numeric=True)
    model = keras.Model(inputs, {"fields": fields, "linear": linear})
    weights = set_random_weights(model, seed=5)
    batch = samples.batch(schema, rows, seed=rows)
    for training in (False, True):
        received = model({key: batch[key] for key in inputs}, training=training)
        expected = reference.linear_terms(weights, schema, batch)
        np.testing.assert_allclose(received["linear"], expected, rtol=1e-5, atol=1e-5)
        if rows:
            expected = reference.field_embeddings(weights, schema, batch, numeric=True)
            np.testing.assert_allclose(received["fields"], expected, rtol=1e-5, atol=1e-6)


def test_one_table_holds_vectors_and_first_order_weights_unless_they_are_kept_apart():
    schema = samples.schema()
    shapes = {}
    for apart in (False, True):
        inputs = packed_inputs(schema)
        with first_order_tables_apart(apart):
            model = keras.Model(inputs, fields_and_linear(schema, inputs, width=3, stddev=0.1, numeric=True))
        shapes[apart] = {w.path: tuple(w.shape) for w in model.weights if w.path.endswith("/table")}
        if not apart:
            assert not np.any(model.get_layer("embedding").table.numpy()[:, 3])  # first-order weights start at zero
            assert np.all(model.get_layer("embedding").table.numpy()[:, :3])
    assert shapes[False] == {"embedding/table": (21, 4), "linear/table": (11, 1)}
    assert shapes[True] == {"embedding/table": (21, 3), "linear/table": (32, 1)}


@pytest.mark.parametrize("width", [1, 16, 33, 70])
def test_a_look_up_and_its_gradient_are_those_of_plain_indexing(width):
    rng = np.random.default_rng(0)
    table = keras.Variable(rng.normal(size=(9, width)).astype("float32"))
    ids, upstream = rng.integers(0, 9, (5, 4)).astype("int32"), rng.normal(size=(5, 4, width)).astype("float32")

    @tf.function(autograph=False)
    def gradient():
        with tf.GradientTape() as tape:
            rows = look_up(table, tf.constant(ids), training=True)
            loss = tf.reduce_sum(rows * upstream)
        found = tape.gradient(loss, table.value)
        assert merge_duplicates(found, table) is found  # the graph proves that its rows are distinct
        return rows, found.values, found.indices

    rows, values, indices = gradient()
    np.testing.assert_array_equal(rows, table.numpy()[ids])
    np.testing.assert_array_equal(look_up(table, tf.constant(ids), training=False), table.numpy()[ids])
    expected = np.zeros((9, width))
    np.add.at(expected, ids.ravel(), upstream.reshape(-1, width))
    assert sorted(indices.numpy().tolist()) == sorted(set(ids.ravel().tolist()))
    np.testing.assert_allclose(values, expected[indices.numpy()], rtol=1e-5, atol=1e-5)


def check_mirrored_look_up():
    """Runs in a process of its own: logical devices cannot be changed once TensorFlow has started."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    with strategy.scope():
        table = keras.Variable(np.arange(22.0, dtype="float32").reshape(11, 2), name="table")

    @tf.function(autograph=False)
    def gradients():
        def replica():
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(look_up(table, tf.constant([3, 1, 3]), training=True) ** 2)
            return tape.gradient(loss, table.value)

        return strategy.experimental_local_results(strategy.run(replica))

    for found in gradients():
        assert found.indices.numpy().tolist() == [3, 1]
        np.testing.assert_allclose(found.values, [[24, 28], [4, 6]])
    operations = gradients.get_concrete_function().graph.get_operations()
    assert not [op for op in operations if op.type == "ReadVariableOp" and op.outputs[0].shape == table.shape]


def test_a_mirrored_table_is_read_row_by_row_from_each_replicas_own_copy():
    code = "from tests.test_features import check_mirrored_look_up; check_mirrored_look_up()"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=True)


def sequence_features(schema, *, extras=True, search=None, **changed):
    short = [history for history in schema.histories if history.role == "short"]
    return SequenceFeatures(schema, short, extras=extras, search=search, **{"width": 3, "stddev": 0.1, **changed})


@each_size
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("extras", [False, True])
@pytest.mark.parametrize("kinds", ["histories", "list columns too"])
def test_vectors_of_fields_candidates_and_steps_match_numpy(kinds, extras, training, rows):
    schema = SCHEMAS[kinds]
    layer = sequence_features(schema, extras=extras)
    layer(samples.batch(schema, 1))
    weights = set_random_weights(layer, seed=1)
    batch = samples.batch(schema, rows, seed=rows)
    received = layer(batch, training=training)
    assert list(received["histories"]) == [h.name for h in schema.histories if h.role == "short"]
    for row in range(rows):
        fields = reference.flat_fields(weights, dataclasses.replace(schema, numeric=()), batch, row)
        np.testing.assert_allclose(np.ravel(received["fields"][row]), fields, rtol=1e-5)
        for name, history in received["histories"].items():
            of_schema = next(h for h in schema.histories if h.name == name)
            keys, of_extras = reference.real_steps(weights, batch, row, of_schema)
            query = reference.candidate(weights, schema, batch, row, of_schema)
            np.testing.assert_allclose(history["query"][row], query, rtol=1e-5)
            np.testing.assert_array_equal(history["valid"][row], batch[f"{name}_valid"][row])
            np.testing.assert_allclose(history["keys"][row, : len(keys)], np.reshape(keys, (-1, len(query))), rtol=1e-5)
            assert ("extras" in history) == (extras and any(step.feature is None for step in of_schema.steps))
            if "extras" in history and keys:
                np.testing.assert_allclose(history["extras"][row, : len(keys)], of_extras, rtol=1e-5)


def test_a_search_finds_the_best_real_steps_and_fills_up_with_padding():
    schema = samples.with_histories()
    long = schema.history("long")
    layer = sequence_features(schema, search=Search(long, num_found=4, num_trained=2))
    layer(samples.batch(schema, 1))
    weights = set_random_weights(layer, seed=1)
    batch = samples.batch(schema, 30)
    found = layer(batch)["histories"]["found"]
    for row in range(30):
        keys, extras = reference.real_steps(weights, batch, row, long)
        query = reference.candidate(weights, schema, batch, row, long)
        places = layers.best(layers.search_scores(weights, query, keys, name="embedding/search"), 4)
        assert found["valid"][row].numpy().tolist() == [True] * len(places) + [False] * (4 - len(places))
        for k, place in enumerate(places):
            np.testing.assert_allclose(found["keys"][row, k], keys[place], rtol=1e-5)
            np.testing.assert_allclose(found["extras"][row, k], extras[place], rtol=1e-5)
        padding = [weights["embedding/table"][step.offset] for step in long.steps[:2]]
        for k in range(len(places), 4):
            np.testing.assert_allclose(found["keys"][row, k], np.concatenate(padding), rtol=1e-5)


def test_first_order_sums_leave_histories_out():
    schema = samples.with_histories(multi_valued=False)
    layer = FieldEmbeddings(schema, width=2, stddev=0.1, numeric=False, first_order=True)
    batch = samples.batch(schema, 4)
    layer(batch)
    set_random_weights(layer, seed=1)
    fields, first_order = layer(batch)
    assert fields.shape == (4, 3 + 2, 2)
    of_categorical = layer.table.numpy()[batch["categorical"][:, :3], 2].sum(axis=1)
    np.testing.assert_allclose(first_order, of_categorical, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"roles": ()}, set()),
        ({}, {"history_c", "history_a", "history_valid"}),
        ({"roles": ("hits",)}, {"hits_c", "hits_a", "hits_valid"}),
        ({"extras": True}, {"history_c", "history_a", "history_gap", "history_action", "history_valid"}),
    ],
)
def test_inputs_are_what_a_model_reads(settings, expected):
    schema = samples.with_histories(multi_valued=False)
    inputs = packed_inputs(schema, **settings)
    assert set(inputs) == {"categorical", "numeric"} | expected
    assert all(inputs[name].shape == (None, None) for name in expected)


def test_the_reader_of_a_search_has_no_gradient():
    table = keras.Variable(np.arange(6.0).reshape(3, 2))
    with tf.GradientTape() as tape:
        rows = reader(table)(tf.constant([[2], [0]]))
    np.testing.assert_array_equal(rows, [[[4, 5]], [[0, 1]]])
    assert tape.gradient(rows, table.value) is None
