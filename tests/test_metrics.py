import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from rectrain.errors import InputError
from rectrain.evaluation import metrics
from rectrain.evaluation.curves import calibration_curve, roc_curve
from rectrain.evaluation.intervals import student_quantile, wilson_interval
from rectrain.evaluation.metrics import UndefinedMetricError
from tests.reference import metrics as twin

Z = stats.norm.ppf(0.975)


def rows(seed, num_rows, *, rate=0.3, decimals=None, dtype="float32"):
    """Labels and scores that know something of them; few decimals give many ties."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(num_rows) < rate).astype("float32")
    scores = 1 / (1 + np.exp(-(rng.normal(size=num_rows) + 0.8 * labels - 1)))
    return labels, (scores if decimals is None else scores.round(decimals)).astype(dtype)


def logit(p):
    return np.log(p / (1 - p))


# AUC


@pytest.mark.parametrize("decimals", [None, 2, 1, 0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_auc_is_the_share_of_pairs_won_ties_half(decimals, dtype):
    labels, scores = rows(0, 173, decimals=decimals, dtype=dtype)
    assert metrics.auc(labels, scores).value == pytest.approx(twin.auc(labels, scores), abs=1e-15)


def test_auc_on_a_hand_worked_case():
    # Positives .2, .5, .5; negatives .2, .4, .9. Wins 0 + 2 + 2, ties 1, of 9 pairs.
    labels, scores = [1, 0, 1, 0, 1, 0], [0.2, 0.2, 0.5, 0.4, 0.5, 0.9]
    assert metrics.auc(labels, scores).value == pytest.approx(4.5 / 9)


@pytest.mark.parametrize("decimals", [None, 1])
def test_auc_interval_is_delong_on_the_logit_scale_with_satterthwaites_t(decimals):
    labels, scores = rows(1, 151, rate=0.15, decimals=decimals)
    value, low, high = metrics.auc(labels, scores)
    v10, v01 = twin.structural_components(labels, scores)
    parts = [v.var(ddof=1) / len(v) for v in (v10, v01)]
    freedom = sum(parts) ** 2 / sum(p**2 / (len(v) - 1) for p, v in zip(parts, (v10, v01), strict=True))
    error = np.sqrt(sum(parts)) / (value * (1 - value))
    expected = stats.t.ppf(0.975, freedom) * error
    assert logit(high) - logit(value) == pytest.approx(expected, rel=1e-4)
    assert logit(value) - logit(low) == pytest.approx(expected, rel=1e-4)


def test_auc_counts_a_million_tied_rows_without_rounding():
    labels = np.zeros(1_000_000, "float32")
    labels[:3] = 1
    scores = np.full(1_000_000, 0.25, "float32")
    scores[0] = 0.5
    assert metrics.auc(labels, scores).value == pytest.approx((1 + 0.5 + 0.5) / 3, abs=1e-15)


def test_auc_of_a_perfect_ranking_keeps_a_width():
    labels, scores = np.repeat([0, 1], [50, 10]), np.linspace(0, 1, 60)
    value, low, high = metrics.auc(labels, scores)
    assert (value, high) == (1.0, 1.0)
    assert low == pytest.approx(10 / (10 + Z**2))  # ten independent pairs, all won
    assert metrics.auc(1 - labels, scores)[:2] == (0.0, 0.0)


def test_auc_with_one_row_of_a_class_has_the_width_of_one_pair():
    value, low, high = metrics.auc([1, 0, 0, 0, 0], [0.5, 0.1, 0.2, 0.3, 0.9])
    assert value == 0.75
    assert (low, high) == tuple(map(pytest.approx, wilson_interval(0.75, 1, 0.95)))


# Paired differences


def test_paired_auc_difference_is_paired_delong():
    labels, scores_a = rows(2, 140, decimals=2)
    scores_b = (scores_a + np.random.default_rng(3).normal(0, 0.2, 140)).round(2)
    difference, low, high, p = metrics.paired_auc_difference(labels, scores_a, scores_b)
    covariance = twin.delong_covariance(labels, scores_a, scores_b)
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert difference == pytest.approx(twin.auc(labels, scores_a) - twin.auc(labels, scores_b))
    assert (low, high) == (pytest.approx(difference - Z * error), pytest.approx(difference + Z * error))
    assert p == pytest.approx(2 * stats.norm.sf(abs(difference) / error))


def test_paired_logloss_difference_is_the_mean_of_row_differences():
    labels, scores_a = rows(4, 90)
    scores_b = np.clip(scores_a * 1.3, 0, 1)
    losses = [twin.row_losses(labels, scores, metrics.EPSILON) for scores in (scores_a, scores_b)]
    expected = stats.ttest_rel(*losses)
    difference, low, high, p = metrics.paired_logloss_difference(labels, scores_a, scores_b)
    assert difference == pytest.approx(losses[0].mean() - losses[1].mean())
    assert (high - low) / 2 == pytest.approx(Z * abs(difference / expected.statistic))
    assert p == pytest.approx(2 * stats.norm.sf(abs(expected.statistic)))


@pytest.mark.parametrize("paired", [metrics.paired_auc_difference, metrics.paired_logloss_difference])
def test_a_model_does_not_differ_from_itself(paired):
    labels, scores = rows(5, 60)
    assert paired(labels, scores, scores) == (0, 0, 0, 1)


def test_paired_auc_difference_needs_two_rows_of_each_class():
    with pytest.raises(UndefinedMetricError, match="1 rows of class 1 and 3 of class 0"):
        metrics.paired_auc_difference([1, 0, 0, 0], [0.1, 0.2, 0.3, 0.4], [0.4, 0.2, 0.3, 0.1])


# The other metrics


@pytest.mark.parametrize("decimals", [None, 2, 1])
def test_pr_auc_and_its_error_are_the_weighted_definition(decimals):
    labels, scores = rows(6, 80, decimals=decimals)
    value, low, high = metrics.pr_auc(labels, scores)
    assert value == pytest.approx(twin.average_precision(labels, scores, np.ones(80)))
    error = twin.average_precision_error(labels, scores) / (value * (1 - value))
    quantile = stats.t.ppf(0.975, labels.sum() - 1)
    assert (logit(high) - logit(low)) / 2 == pytest.approx(quantile * error, rel=1e-4)


def test_pr_auc_on_hand_worked_cases():
    # Precision 1/1 at .9; 2/4 at the tie of .5, where one of three is a positive; 3/5 at .1.
    assert metrics.pr_auc([1, 0, 1, 0, 1], [0.9, 0.5, 0.5, 0.5, 0.1]).value == pytest.approx((1 + 2 / 4 + 3 / 5) / 3)
    assert metrics.pr_auc([1, 0, 0, 0], [0.5] * 4).value == 0.25
    value, low, high = metrics.pr_auc([1, 1, 0], [0.9, 0.8, 0.1])
    assert (value, high) == (1.0, 1.0)
    assert low == pytest.approx(2 / (2 + Z**2))


@pytest.mark.parametrize("decimals", [None, 1])
def test_gauc_weighs_the_auc_of_each_mixed_group_by_its_rows(decimals):
    labels, scores = rows(7, 400, decimals=decimals)
    groups = np.random.default_rng(8).geometric(0.05, size=400) * 10**15 - 5 * 10**15  # ids far apart, below 0 too
    assert any(len(set(labels[groups == group])) == 1 for group in groups)
    value, low, high = metrics.gauc(labels, scores, groups, seed=0)
    assert value == pytest.approx(twin.gauc(labels, scores, groups))
    assert low < value < high


def test_gauc_of_one_group_is_auc_and_its_interval_says_nothing():
    labels, scores = rows(9, 50)
    expected = metrics.auc(labels, scores).value
    assert metrics.gauc(labels, scores, np.full(50, 7), seed=0) == (pytest.approx(expected), 0, 1)


def test_logloss_is_the_mean_row_loss_and_clips():
    labels, scores = rows(10, 200)
    scores[:4], labels[:4] = [0, 1, 0, 1], [0, 1, 1, 0]
    losses = twin.row_losses(labels, scores, metrics.EPSILON)
    value, low, high = metrics.logloss(labels, scores)
    assert value == pytest.approx(losses.mean(), rel=1e-12)
    assert np.log(high / low) / 2 == pytest.approx(Z * stats.sem(losses) / losses.mean())


def test_logloss_sums_ten_million_float32_rows_in_float64():
    labels, scores = np.zeros(10_000_000, "int8"), np.full(10_000_000, 0.1, "float32")
    assert metrics.logloss(labels, scores).value == pytest.approx(-math.log1p(-float(np.float32(0.1))), rel=1e-12)


def test_pcoc_is_predicted_over_observed_clicks():
    labels, scores = rows(11, 300)
    value, low, high = metrics.pcoc(labels, scores)
    assert value == pytest.approx(scores.sum(dtype="float64") / labels.sum())
    # The delta method for log of a ratio of means.
    means = scores.mean(dtype="float64"), labels.mean()
    covariance = np.cov(scores, labels, bias=True) / 300
    variance = covariance[0, 0] / means[0] ** 2 + covariance[1, 1] / means[1] ** 2
    variance -= 2 * covariance[0, 1] / (means[0] * means[1])
    assert np.log(high / low) / 2 == pytest.approx(Z * np.sqrt(variance), rel=1e-5)


def test_ne_is_one_for_the_base_rate_and_matches_the_definition():
    labels, scores = rows(12, 250)
    value, low, high = metrics.ne(labels, scores, seed=0)
    assert value == pytest.approx(twin.normalized_entropy(labels, scores, metrics.EPSILON))
    assert low < value < high
    assert metrics.ne(labels, np.full(250, labels.mean()), seed=0).value == pytest.approx(1)


def test_bootstrap_blocks_give_the_width_of_a_bootstrap_over_rows():
    labels, scores = rows(13, 40_000)
    _, low, high = metrics.ne(labels, scores, seed=0)
    losses, rate = twin.row_losses(labels, scores, metrics.EPSILON), labels.mean()
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    slope = -losses.mean() / entropy**2 * np.log((1 - rate) / rate)
    error = np.std(losses / entropy + slope * labels) / 200
    assert (high - low) / (2 * Z) == pytest.approx(error, rel=0.1)


# compute


def test_compute_gives_every_metric_and_repeats_with_its_seed():
    labels, scores = rows(14, 5_000)
    groups = np.arange(5_000) % 97
    found = metrics.compute(labels, scores, groups=groups, seed=3)
    assert list(found) == ["auc", "logloss", "gauc", "pr_auc", "pcoc", "ne"] == list(metrics.HIGHER_IS_BETTER)
    expected = {
        "auc": metrics.auc(labels, scores),
        "logloss": metrics.logloss(labels, scores),
        "gauc": metrics.gauc(labels, scores, groups, seed=3),
        "pr_auc": metrics.pr_auc(labels, scores),
        "pcoc": metrics.pcoc(labels, scores),
        "ne": metrics.ne(labels, scores, seed=3),
    }
    assert found == {name: estimate._asdict() for name, estimate in expected.items()}
    assert {type(number) for entry in found.values() for number in entry.values()} == {float}
    assert all(entry["low"] < entry["value"] < entry["high"] for entry in found.values())
    other_seed = metrics.compute(labels, scores, groups=groups, seed=4)
    assert [name for name in found if found[name] != other_seed[name]] == ["gauc", "ne"]


def test_a_higher_level_gives_wider_intervals():
    labels, scores = rows(15, 500)
    groups = np.arange(500) % 40
    narrow, wide = (metrics.compute(labels, scores, groups=groups, seed=0, level=level) for level in (0.8, 0.99))
    for name in narrow:
        assert wide[name]["low"] < narrow[name]["low"] < narrow[name]["high"] < wide[name]["high"], name


def reasons(labels, scores, groups=None):
    found = metrics.compute(np.array(labels), np.array(scores, "float32"), groups=groups, seed=0)
    for entry in found.values():
        assert ("reason" in entry) == (entry["value"] is None) == (entry["low"] is None) == (entry["high"] is None)
    return {name: entry.get("reason") for name, entry in found.items()}


def test_no_rows():
    found = reasons([], [], np.zeros(0, "int64"))
    assert set(found.values()) == {"no rows"}


@pytest.mark.parametrize(("label", "pcoc_reason"), [(0, "one class only: 500 rows, all 0"), (1, None)])
def test_one_class(label, pcoc_reason):
    reason = f"one class only: 500 rows, all {label}"
    found = reasons(np.full(500, label), np.linspace(0.1, 0.9, 500), np.arange(500) % 9)
    assert found == {
        "auc": reason,
        "logloss": None,
        "gauc": reason,
        "pr_auc": reason,
        "pcoc": pcoc_reason,
        "ne": reason,
    }


def test_no_groups_and_no_mixed_group():
    labels, scores = [0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4]
    assert reasons(labels, scores)["gauc"] == "the dataset has no group column"
    found = reasons(labels, scores, np.array([5, 6, 5, 6]))
    assert found.pop("gauc") == "no group holds both classes: 2 groups, 4 rows"
    assert set(found.values()) == {None}


def test_one_row():
    found = reasons([1], [0.4])
    assert found["logloss"] == found["pcoc"] == "one row only: an interval needs two"


@pytest.mark.parametrize("score", [0.0, 0.3, 1.0])
def test_constant_scores(score):
    labels = np.repeat([0, 1], [70, 30])
    found = metrics.compute(labels, np.full(100, score, "float32"), groups=np.arange(100) % 3, seed=0)
    assert found["auc"]["value"] == found["gauc"]["value"] == 0.5
    assert found["pr_auc"]["value"] == pytest.approx(0.3)
    assert found["pcoc"]["value"] == pytest.approx(score / 0.3)
    assert found["auc"]["low"] < 0.5 < found["auc"]["high"]
    for entry in found.values():
        assert entry["low"] <= entry["value"] <= entry["high"]
        assert np.isfinite(list(entry.values())).all()


@pytest.mark.parametrize(
    ("label", "score", "message"),
    [
        (1, np.nan, "scores: 1 of 3 rows are wrong, the first is row 1 with nan; expected finite numbers"),
        (1, np.inf, "scores: 1 of 3 rows are wrong, the first is row 1 with inf; expected finite numbers"),
        (1, 1.5, r"row 1 with 1.5; expected probabilities in \[0, 1\]"),
        (1, -0.5, r"row 1 with -0.5; expected probabilities in \[0, 1\]"),
        (2, 0.5, "labels: 1 of 3 rows are wrong, the first is row 1 with 2.0; expected 0 or 1"),
        (np.nan, 0.5, "labels: 1 of 3 rows are wrong, the first is row 1 with nan; expected 0 or 1"),
    ],
)
def test_wrong_values_are_refused_by_row(label, score, message):
    with pytest.raises(InputError, match=message):
        metrics.compute(np.array([0, label, 1.0]), np.array([0.1, score, 0.2]), seed=0)


def test_improvement_is_positive_for_the_better_value():
    better = {"auc": (0.8, 0.7), "logloss": (0.3, 0.4), "gauc": (0.8, 0.7), "pr_auc": (0.8, 0.7), "ne": (0.8, 0.9)}
    for name, (good, bad) in better.items():
        assert metrics.improvement(metrics.HIGHER_IS_BETTER[name], good, bad) == pytest.approx(0.1)
        assert metrics.improvement(metrics.HIGHER_IS_BETTER[name], bad, good) == pytest.approx(-0.1)
    for good, bad in itertools.pairwise([1, 1.1, 0.8, 1.5, 0.0]):
        assert metrics.improvement(None, good, bad) > 0 > metrics.improvement(None, bad, good)
    assert metrics.improvement(None, 0.0, 0.0) == metrics.improvement(None, 2.0, 0.5) == 0


def test_importing_the_metrics_does_not_import_tensorflow():
    code = "import sys; import rectrain.evaluation.curves; print('tensorflow' in sys.modules, 'scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# Curves


@pytest.mark.parametrize("decimals", [None, 1])
def test_roc_curve_has_every_threshold_when_they_fit(decimals):
    labels, scores = rows(16, 120, decimals=decimals)
    np.testing.assert_allclose(np.stack(roc_curve(labels, scores, 200), axis=1), twin.roc_points(labels, scores))


@pytest.mark.parametrize("num_points", [2, 3, 50])
def test_roc_curve_keeps_its_shape_when_thinned(num_points):
    labels, scores = rows(17, 30_000, rate=0.02)
    all_fpr, all_tpr = roc_curve(labels, scores, 30_001)
    fpr, tpr = roc_curve(labels, scores, num_points)
    assert len(fpr) <= num_points
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert np.abs(np.interp(all_fpr, fpr, tpr) - all_tpr).max() <= 2 / (num_points - 1)
    assert np.trapezoid(all_tpr, all_fpr) == pytest.approx(metrics.auc(labels, scores).value, abs=1e-12)


def test_calibration_curve_bins_hold_equal_counts():
    labels, scores = rows(18, 1_003)
    curve = calibration_curve(labels, scores, 10)
    assert curve.rows.tolist() == [101, 100, 100, 101, 100, 100, 101, 100, 100, 100]
    order = np.argsort(scores)
    for number, bin_rows in enumerate(np.split(order, np.cumsum(curve.rows)[:-1])):
        assert curve.score[number] == pytest.approx(scores[bin_rows].mean(), rel=1e-6)
        assert curve.rate[number] == pytest.approx(labels[bin_rows].mean())
        exact = stats.binomtest(int(labels[bin_rows].sum()), len(bin_rows)).proportion_ci(method="wilson")
        assert (curve.low[number], curve.high[number]) == (pytest.approx(exact.low), pytest.approx(exact.high))


def test_calibration_curve_never_splits_equal_scores():
    labels, scores = [0, 1, 0, 1, 1, 1], [0.1, 0.5, 0.5, 0.5, 0.5, 0.9]
    curve = calibration_curve(labels, scores, 3)
    assert curve.rows.tolist() == [5, 1]
    assert curve.rate.tolist() == [0.6, 1.0]
    assert curve.score.tolist() == pytest.approx([2.1 / 5, 0.9])
    assert calibration_curve(labels, [0.5] * 6, 4).rows.tolist() == [6]
    assert calibration_curve([1], [0.5], 4).rows.tolist() == [1]


def test_curves_need_rows():
    with pytest.raises(UndefinedMetricError, match="no rows"):
        calibration_curve([], [], 4)
    with pytest.raises(UndefinedMetricError, match="one class only: 2 rows, all 1"):
        roc_curve([1, 1], [0.1, 0.2], 4)


# Intervals


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99, 0.995])
def test_student_quantile_is_close_to_the_exact_one(level):
    freedom = np.array([1, 1.2, 2, 3.7, 5, 10, 29, 30, 1000, 1e7])
    found = [student_quantile(level, f) for f in freedom]
    np.testing.assert_allclose(found, stats.t.ppf((1 + level) / 2, freedom), rtol=5e-4)
