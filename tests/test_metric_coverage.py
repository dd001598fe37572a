"""A 95 % interval holds the truth in about 95 of 100 simulated test sets.

The quick bands are wide enough for the noise of 300 simulations and the small-sample error of the intervals, and narrow
enough that a standard error wrong by a factor of sqrt(2) falls out of them on either side.
"""

import numpy as np
import pytest
from scipy import stats

from rectrain.evaluation import metrics

QUICK_OR_LONG = [
    pytest.param(300, 0.91, 0.985, id="quick"),
    pytest.param(3000, 0.93, 0.97, id="long", marks=pytest.mark.slow),
]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def share_covered(interval, truth, num_simulations):
    """`interval` takes a random generator and gives (low, high), or None for a test set without the metric."""
    rngs = np.random.default_rng(0).spawn(num_simulations)
    intervals = [found for rng in rngs if (found := interval(rng)) is not None]
    assert len(intervals) > 0.99 * num_simulations
    return np.mean([low <= truth <= high for low, high in intervals])


# Scores are normal, with variance 1 in both classes and means `distance` apart.


def binormal(rng, num_rows, rate, distance):
    labels = rng.random(num_rows) < rate
    return labels, rng.normal(size=num_rows) + distance * labels


def distance_of(auc):
    return np.sqrt(2) * stats.norm.ppf(auc)


def true_average_precision(rate, distance):
    threshold = np.linspace(-9, 9 + distance, 100_001)
    true, false = rate * stats.norm.sf(threshold - distance), (1 - rate) * stats.norm.sf(threshold)
    return np.trapezoid(stats.norm.pdf(threshold - distance) * true / (true + false), threshold)


@pytest.mark.parametrize(("num_simulations", "least", "most"), QUICK_OR_LONG)
@pytest.mark.parametrize("auc", [0.5, 0.7, 0.8, 0.95])
@pytest.mark.parametrize(("num_rows", "rate"), [(200, 0.5), (200, 0.2), (2000, 0.05), (2000, 0.25), (2000, 0.95)])
def test_auc(num_simulations, least, most, auc, num_rows, rate):
    def interval(rng):
        return metrics.auc(*binormal(rng, num_rows, rate, distance_of(auc)))[1:]

    assert least <= share_covered(interval, auc, num_simulations) <= most


@pytest.mark.parametrize(("num_simulations", "least", "most"), QUICK_OR_LONG)
@pytest.mark.parametrize("decimals", [0, 1])
def test_auc_with_ties(num_simulations, least, most, decimals):
    # The rounded score is a discrete ranking of its own; its AUC follows from the two histograms.
    edges = np.arange(-12, 12, 10.0**-decimals) + 0.5 * 10.0**-decimals
    positive, negative = (np.diff(stats.norm.cdf(edges, loc)) for loc in (1.0, 0.0))
    truth = np.dot(positive, np.cumsum(negative) - negative / 2)

    def interval(rng):
        labels, scores = binormal(rng, 1000, 0.1, 1.0)
        return metrics.auc(labels, scores.round(decimals))[1:]

    assert least <= share_covered(interval, truth, num_simulations) <= most


@pytest.mark.parametrize(
    ("num_rows", "rate", "auc", "least"), [(2000, 0.25, 0.99, 0.91), (100, 0.5, 0.999, 0.91), (500, 0.95, 0.95, 0.88)]
)
def test_auc_near_one(num_rows, rate, auc, least):
    """The second case ranks half of its test sets perfectly; the third has but 25 negatives, a known weakness."""

    def interval(rng):
        return metrics.auc(*binormal(rng, num_rows, rate, distance_of(auc)))[1:]

    assert share_covered(interval, auc, 500) >= least


@pytest.mark.parametrize("auc", [0.6, 0.8])
def test_auc_with_ten_positives(auc):
    def interval(rng):
        labels, scores = binormal(rng, 2000, 0.005, distance_of(auc))
        return metrics.auc(labels, scores)[1:] if labels.sum() > 1 else None

    assert 0.91 <= share_covered(interval, auc, 500) <= 0.99


@pytest.mark.parametrize(("num_simulations", "least", "most"), QUICK_OR_LONG)
@pytest.mark.parametrize(
    ("num_rows", "rate", "distance"),
    [(2000, 0.05, 1.2), (2000, 0.25, 1.2), (2000, 0.25, 2.5), (1000, 0.5, 0.0), (5000, 0.03, 0.5)],
)
def test_pr_auc(num_simulations, least, most, num_rows, rate, distance):
    def interval(rng):
        return metrics.pr_auc(*binormal(rng, num_rows, rate, distance))[1:]

    truth = true_average_precision(rate, distance)
    assert least <= share_covered(interval, truth, num_simulations) <= most


# Clicks come with probability sigmoid(x + base), x normal; the model is off in slope and intercept.


def clicks(rng, num_rows, base):
    x = rng.normal(size=num_rows)
    return rng.random(num_rows) < sigmoid(x + base), sigmoid(1.2 * x + base + 0.1)


def true_values(base):
    """logloss, pcoc and ne, by Gauss-Hermite quadrature over x."""
    x, weights = np.polynomial.hermite_e.hermegauss(100)
    weights = weights / weights.sum()
    p, q = sigmoid(x + base), sigmoid(1.2 * x + base + 0.1)
    rate = np.dot(weights, p)
    loss = -np.dot(weights, p * np.log(q) + (1 - p) * np.log(1 - q))
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    return {"logloss": loss, "pcoc": np.dot(weights, q) / rate, "ne": loss / entropy}


@pytest.mark.parametrize(("num_simulations", "least", "most"), QUICK_OR_LONG)
@pytest.mark.parametrize("metric", ["logloss", "pcoc"])
@pytest.mark.parametrize(("num_rows", "base"), [(200, 0.0), (1000, -1.2), (2000, -4.0), (20_000, -6.0)])
def test_means_of_rows(num_simulations, least, most, metric, num_rows, base):
    def interval(rng):
        return getattr(metrics, metric)(*clicks(rng, num_rows, base))[1:]

    assert least <= share_covered(interval, true_values(base)[metric], num_simulations) <= most


@pytest.mark.parametrize(("num_simulations", "least", "most"), QUICK_OR_LONG)
@pytest.mark.parametrize(("num_rows", "base"), [(300, 0.0), (2000, -3.0)])
def test_ne(num_simulations, least, most, num_rows, base):
    def interval(rng):
        return metrics.ne(*clicks(rng, num_rows, base), seed=rng.integers(2**32))[1:]

    assert least <= share_covered(interval, true_values(base)["ne"], num_simulations) <= most


# Groups differ in size, click rate and in how far the model tells their rows apart.


def draw_groups(rng, num_groups):
    sizes = rng.integers(2, 60, size=num_groups)
    return sizes, sigmoid(rng.normal(-1.5, 1, size=num_groups)), rng.normal(0.8, 0.6, size=num_groups) + sizes / 100


def true_gauc():
    sizes, rates, distances = draw_groups(np.random.default_rng(1), 1_000_000)
    weights = sizes * (1 - rates**sizes - (1 - rates) ** sizes)  # rows, if both classes come up
    return np.average(stats.norm.cdf(distances / np.sqrt(2)), weights=weights)


@pytest.mark.parametrize(("num_simulations", "least", "most"), QUICK_OR_LONG)
@pytest.mark.parametrize("num_groups", [20, 300])
def test_gauc(num_simulations, least, most, num_groups):
    def interval(rng):
        sizes, rates, distances = draw_groups(rng, num_groups)
        groups = np.repeat(np.arange(num_groups), sizes)
        labels = rng.random(len(groups)) < rates[groups]
        scores = rng.normal(size=len(groups)) + labels * distances[groups]
        return metrics.gauc(labels, scores, groups, seed=rng.integers(2**32))[1:]

    assert least <= share_covered(interval, true_gauc(), num_simulations) <= most


# Two models


def noisy_pair(rng, num_rows, base, noise):
    """Two models that see the same truth through errors of their own; equally good when the noises are equal."""
    x = rng.normal(size=num_rows)
    labels = rng.random(num_rows) < sigmoid(x + base)
    return labels, *(sigmoid(x + base + level * rng.normal(size=num_rows)) for level in noise)


@pytest.mark.parametrize(("num_simulations", "least", "most"), QUICK_OR_LONG)
@pytest.mark.parametrize("paired", [metrics.paired_auc_difference, metrics.paired_logloss_difference])
@pytest.mark.parametrize(("num_rows", "base"), [(200, 0.0), (2000, -3.0)])
def test_equivalent_models_differ_by_zero(num_simulations, least, most, paired, num_rows, base):
    def interval(rng):
        _, low, high, p = paired(*noisy_pair(rng, num_rows, base, (0.5, 0.5)))
        assert (p > 0.05) == (low < 0 < high)
        return low, high

    assert least <= share_covered(interval, 0, num_simulations) <= most


@pytest.mark.parametrize(("num_simulations", "least", "most"), QUICK_OR_LONG)
@pytest.mark.parametrize("paired", [metrics.paired_auc_difference, metrics.paired_logloss_difference])
def test_a_better_model_differs_by_as_much_as_it_is_better(num_simulations, least, most, paired):
    truth = paired(*noisy_pair(np.random.default_rng(1), 2_000_000, -1.0, (0.2, 0.9))).difference

    def interval(rng):
        return paired(*noisy_pair(rng, 1000, -1.0, (0.2, 0.9)))[1:3]

    assert least <= share_covered(interval, truth, num_simulations) <= most
