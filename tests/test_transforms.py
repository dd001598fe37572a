import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from rectrain.data import statistics, transforms
from rectrain.data.randoms import random_fractions, random_words


def test_log1p_keeps_the_sign():
    np.testing.assert_allclose(transforms.log1p(np.array([-3.0, 0.0, 1.0])), [-math.log(4), 0, math.log(2)])


def test_log_square_by_hand():
    x = np.array([-2.0, 0.0, 1.5, 2.0, 2.5, 3.0, 100.0, 1e300])
    assert transforms.log_square(x).tolist() == [-2.0, 0.0, 1.5, 2.0, 0.0, 1.0, 21.0, 477170.0]


def test_standardize_and_minmax_give_0_for_a_single_value_and_do_not_clip():
    x = np.array([1.0, 3.0, 7.0])
    assert transforms.standardize(x, 3.0, 2.0).tolist() == [-1.0, 0.0, 2.0]
    assert transforms.standardize(x, 3.0, 0.0).tolist() == [0.0, 0.0, 0.0]
    assert transforms.minmax(x, 1.0, 3.0).tolist() == [0.0, 1.0, 3.0]
    assert transforms.minmax(x, 3.0, 3.0).tolist() == [0.0, 0.0, 0.0]


def test_an_edge_belongs_to_the_bucket_above_it():
    assert transforms.quantile_bucket(np.array([0.0, 1.0, 1.5, 2.0, 9.0]), [1.0, 2.0]).tolist() == [1, 2, 2, 3, 3]
    assert transforms.quantile_bucket(np.array([5.0]), []).tolist() == [1]


def test_equal_numbers_give_equal_text_that_reads_back_as_the_same_number():
    x = np.array([1.0, 1.5, -0.0, 0.0, 0.1, -1e300, 21.0, 1 / 3])
    text = transforms.number_text(x).to_pylist()
    assert text[:4] == ["1", "1.5", "0", "0"]
    assert text[6] == "21"
    assert [float(t) for t in text] == x.tolist()


def in_blocks(fit, x, block: int):
    for start in range(0, len(x), block):
        fit.add(x[start : start + block])
    return fit.parameters()


@pytest.mark.parametrize("make", [statistics.Moments, statistics.Extremes, lambda: statistics.Quantiles(7)])
def test_parameters_are_the_same_bits_for_any_block_size(monkeypatch, make):
    monkeypatch.setattr(statistics, "_CHUNK", 100)
    monkeypatch.setattr(statistics, "_EXACT_VALUES", 150)
    x = np.random.default_rng(0).lognormal(size=1_234) * 1e3
    assert in_blocks(make(), x, 7) == in_blocks(make(), x, 500) == in_blocks(make(), x, 2_000)


@pytest.mark.parametrize("make", [statistics.Moments, statistics.Extremes, lambda: statistics.Quantiles(7)])
@pytest.mark.parametrize("exact", [150, 10_000])
def test_parameters_are_the_same_bits_where_files_are_fitted_apart(monkeypatch, make, exact):
    monkeypatch.setattr(statistics, "_CHUNK", 100)
    monkeypatch.setattr(statistics, "_EXACT_VALUES", exact)
    x = np.random.default_rng(1).lognormal(size=1_234) * 1e3
    files = np.split(x, [0, 1, 430, 430, 431, 777])  # the first and the fourth are empty
    one, together = make(), make()
    for index, values in enumerate(files):
        one.begin_file(index)
        alone = make()
        alone.begin_file(index)
        for block, size in ((one, 60), (alone, 33)):
            for start in range(0, values.size, size):
                block.add(values[start : start + size])
        together.absorb(alone.state())
    assert one.parameters() == together.parameters()


def test_files_of_equal_values_have_sd_exactly_0():
    moments = statistics.Moments()
    for index in range(3):
        moments.begin_file(index)
        moments.add(np.full(7, 0.1))
    assert moments.parameters() == {"mean": 0.1, "sd": 0.0}


def test_moments_merge_to_those_of_all_values(monkeypatch):
    monkeypatch.setattr(statistics, "_CHUNK", 16)
    x = 1e6 + np.random.default_rng(0).normal(size=1_001)
    found = in_blocks(statistics.Moments(), x, 13)
    several = statistics.Moments()
    for index, values in enumerate(np.split(x, [5, 400])):
        several.begin_file(index)
        several.add(values)
    parameters = several.parameters()
    np.testing.assert_allclose([parameters["mean"], parameters["sd"]], [x.mean(), x.std()], rtol=1e-12)
    np.testing.assert_allclose([found["mean"], found["sd"]], [x.mean(), x.std()], rtol=1e-12)


def test_moments_of_equal_values_have_sd_exactly_0(monkeypatch):
    monkeypatch.setattr(statistics, "_CHUNK", 16)
    assert in_blocks(statistics.Moments(), np.full(1_003, 0.1), 13) == {"mean": 0.1, "sd": 0.0}


def test_extremes():
    assert in_blocks(statistics.Extremes(), np.array([3.0, -2.0, 5.0]), 2) == {"min": -2.0, "max": 5.0}


def test_quantile_edges_by_hand_and_duplicates_merge():
    assert in_blocks(statistics.Quantiles(2), np.array([4.0, 1.0, 3.0, 2.0]), 3) == {"edges": [3.0]}
    assert in_blocks(statistics.Quantiles(4), np.array([1.0, 1.0, 1.0, 1.0, 2.0, 5.0, 5.0, 9.0]), 3) == {
        "edges": [2.0, 5.0]
    }
    assert in_blocks(statistics.Quantiles(4), np.array([6.0, 6.0]), 1) == {"edges": []}


def test_quantile_buckets_of_exact_edges_have_equal_counts():
    x = np.random.default_rng(0).permutation(1_000).astype(float)
    edges = in_blocks(statistics.Quantiles(8), x, 77)["edges"]
    assert np.bincount(transforms.quantile_bucket(x, edges)).tolist() == [0, *[125] * 8]


def test_quantiles_of_many_values_come_from_a_uniform_sample(monkeypatch):
    monkeypatch.setattr(statistics, "_EXACT_VALUES", 2_000)
    x = np.sort(np.random.default_rng(0).random(40_000))  # sorted: a sample of the first ones would be far off
    edges = in_blocks(statistics.Quantiles(4), x, 999)["edges"]
    np.testing.assert_allclose(edges, [0.25, 0.5, 0.75], atol=0.04)


def test_scale_needs_only_the_encoding_even_after_json():
    x = np.random.default_rng(0).normal(size=50)
    fit = {"type": "standardize", "column": "I1", **in_blocks(statistics.Moments(), x, 9)}
    np.testing.assert_array_equal(transforms.scale(x, json.loads(json.dumps(fit))), (x - fit["mean"]) / fit["sd"])
    assert transforms.scale(x, {"type": "none"}) is x


def test_random_words_belong_to_their_positions():
    words = random_words(5, 0, 100)
    for start, count in [(0, 1), (3, 9), (17, 83), (4, 0)]:
        assert random_words(5, start, count).tolist() == words[start : start + count].tolist()
    assert not np.array_equal(random_words(6, 0, 100), words)


def test_random_fractions_are_uniform():
    u = random_fractions(0, 0, 100_000)
    assert 0 <= u.min() < u.max() < 1
    np.testing.assert_allclose(np.histogram(u, 10, (0, 1))[0], 10_000, rtol=0.05)


def test_number_text_is_what_arrow_reads_back():
    x = np.random.default_rng(0).normal(size=1_000) * 10.0 ** np.random.default_rng(1).integers(-30, 30, 1_000)
    assert pc.cast(transforms.number_text(x), pa.float64()).to_pylist() == x.tolist()
