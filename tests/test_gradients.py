import numpy as np
import pytest
import tensorflow as tf

from rectrain.optimizers.gradients import add_l2, clip_by_global_norm, densify, merge_duplicates
from tests.reference.optimizers import summed

TABLE = tf.zeros((8, 3))


def sparse(ids, width=3, num_rows=8, seed=0):
    values = np.random.default_rng(seed).normal(size=(len(ids), width)).astype("float32")
    return tf.IndexedSlices(tf.constant(values), tf.constant(ids, tf.int32), tf.constant([num_rows, width]))


def expected_table(gradient, num_rows=8):
    return summed((gradient.indices.numpy(), gradient.values.numpy()), (num_rows, gradient.values.shape[1]))


@pytest.mark.parametrize("ids", [[5, 2, 5, 0, 2, 5, 7], [3], [4, 4, 4], [1, 6], []])
def test_merged_rows_are_unique_and_hold_the_sum_of_all_their_values(ids):
    gradient = sparse(ids)
    merged = merge_duplicates(gradient, TABLE)
    table, rows = expected_table(gradient)
    assert sorted(merged.indices.numpy().tolist()) == rows
    np.testing.assert_allclose(merged.values, table[merged.indices.numpy()], rtol=1e-6)
    np.testing.assert_allclose(densify(gradient, tf.zeros((8, 3))), table, rtol=1e-6)
    np.testing.assert_array_equal(merged.dense_shape, [8, 3])


def test_dense_gradients_pass_through_unchanged():
    gradient = tf.constant([[1.0, 2.0]])
    assert merge_duplicates(gradient, TABLE) is gradient
    assert densify(gradient, tf.zeros((1, 2))) is gradient


@pytest.mark.parametrize("regularize", ["batch", "frequency", "table"])
def test_l2_of_a_table_counts_touched_rows_once_or_every_row(regularize):
    table = tf.Variable(np.random.default_rng(1).normal(size=(8, 3)), dtype=tf.float32)
    occurrences = np.arange(1.0, 9.0)
    gradient = sparse([5, 2, 5, 5])
    expected, rows = expected_table(gradient)
    rows = range(8) if regularize == "table" else rows
    for r in rows:
        expected[r] += 0.25 * table.numpy()[r] / (occurrences[r] if regularize == "frequency" else 1)
    counts = tf.Variable(occurrences[:, None], dtype=tf.float32)
    result = add_l2(merge_duplicates(gradient, TABLE), table, 0.25, regularize, counts)
    assert isinstance(result, tf.IndexedSlices) == (regularize != "table")
    np.testing.assert_allclose(densify(result, table), expected, rtol=1e-6)


def test_l2_table_is_the_gradient_of_half_l2_times_the_sum_of_squares():
    table = tf.Variable(np.random.default_rng(2).normal(size=(8, 3)), dtype=tf.float32)
    with tf.GradientTape() as tape:
        looked_up = tf.gather(table, [1, 6, 1])
        loss = tf.reduce_sum(tf.sin(looked_up)) + 0.3 / 2 * tf.reduce_sum(tf.square(table))
    expected = tf.convert_to_tensor(tape.gradient(loss, table))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sin(tf.gather(table, [1, 6, 1])))
    result = add_l2(merge_duplicates(tape.gradient(loss, table), table), table, 0.3, "table")
    np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("regularize", ["batch", "table"])
def test_l2_of_a_dense_weight_and_of_nothing(regularize):
    kernel, gradient = tf.Variable([[3.0, -1.0]]), tf.constant([[0.5, 0.5]])
    np.testing.assert_allclose(add_l2(gradient, kernel, 0.1, regularize), [[0.8, 0.4]], rtol=1e-6)
    slices = sparse([2, 2])
    assert add_l2(slices, kernel, 0.0, regularize) is slices  # a sparse gradient stays sparse


def test_clipping_scales_all_gradients_by_the_norm_of_summed_duplicates():
    # Row 1 appears twice with (3, 0): summed (6, 0). With the dense (0, 8) the norm is 10; without summing it is 9.06.
    table = tf.IndexedSlices(tf.constant([[3.0, 0.0], [3.0, 0.0]]), tf.constant([1, 1]), tf.constant([4, 2]))
    gradients = [merge_duplicates(table, tf.zeros((4, 2))), tf.constant([0.0, 8.0])]
    clipped_table, clipped_dense = clip_by_global_norm(gradients, 5.0)
    np.testing.assert_allclose(clipped_table.values, [[3.0, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(clipped_dense, [0.0, 4.0], rtol=1e-6)
    for same, gradient in zip(clip_by_global_norm(gradients, 11.0), gradients, strict=True):
        np.testing.assert_allclose(densify(same, tf.zeros((4, 2))), densify(gradient, tf.zeros((4, 2))), rtol=1e-6)
    assert clip_by_global_norm(gradients, None) is gradients
