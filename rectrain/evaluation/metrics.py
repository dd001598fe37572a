"""Exact metrics of click probabilities over every row once, each with a confidence interval.

Everything that ranks works on one table, the Tally: how many positives and negatives hold each distinct score. One sort
of integers, the score's bits above the label, makes it, and ties need no further care. Shape letters: N rows, U
distinct scores, G groups, C cells (a cell is one distinct score in one group).
"""

import math
from typing import NamedTuple

import numpy as np

from rectrain.errors import InputError
from rectrain.evaluation.intervals import (
    bootstrap_interval,
    log_interval,
    logit_interval,
    normal_quantile,
    student_quantile,
    two_sided_p,
    wilson_interval,
)

# None: best at 1, from either side.
HIGHER_IS_BETTER = {"auc": True, "logloss": False, "gauc": True, "pr_auc": True, "pcoc": None, "ne": False}

# Probabilities are clipped to [EPSILON, 1 - EPSILON] before the logarithm, as scikit-learn does for float32.
EPSILON = float(np.finfo(np.float32).eps)


class UndefinedMetricError(ValueError):
    """The metric does not exist on these rows; the message says why."""


class Estimate(NamedTuple):
    value: float
    low: float
    high: float


class PairedDifference(NamedTuple):
    """Metric of a minus metric of b on the same rows; p of the hypothesis that there is no difference."""

    difference: float
    low: float
    high: float
    p: float


class Tally(NamedTuple):
    """Positives and negatives by distinct score."""

    codes: (
        np.ndarray
    )  # uint32 (N,), in the order of the rows: they compare as the scores do, and leave the top bit free
    scores: np.ndarray  # float (U,), rising
    positives: np.ndarray  # int64 (U,)
    negatives: np.ndarray  # int64 (U,)

    @property
    def rows(self):
        return self.positives + self.negatives


def compute(labels, scores, *, groups=None, seed, level=0.95):
    """Every metric of HIGHER_IS_BETTER with its interval.

    Args:
        labels: float or int (N,), 0 or 1.  scores: float (N,), probabilities.  groups: int64 (N,), None without groups.
        seed: int, for the bootstraps of gauc and ne.  level: coverage of the intervals.
    Returns:
        {metric: {"value", "low", "high"}}, floats; all three None, and a "reason", where the metric does not exist.
    Raises:
        InputError: a label is not 0 or 1, or a score is not a probability.
    """
    labels, scores = check_probabilities(labels, scores)
    tally = tally_of(labels, scores)
    return {
        "auc": entry(auc_of_tallies, [tally], level),
        "logloss": entry(_logloss, labels, scores, level),
        "gauc": entry(_gauc, labels, tally, groups, seed, level),
        "pr_auc": entry(_pr_auc, tally, level),
        "pcoc": entry(_pcoc, labels, scores, level),
        "ne": entry(_ne, labels, scores, seed, level),
    }


def improvement(higher_is_better, new, best):
    """How much better `new` is than `best`: above 0 if it is, in the metric's unit (None, best at 1: in |log|)."""
    if new == best:
        return 0.0
    if higher_is_better is None:
        return _log_distance_from_one(best) - _log_distance_from_one(new)
    return new - best if higher_is_better else best - new


def auc(labels, scores, level=0.95):
    """Area under the ROC curve: how often a positive outscores a negative, ties counting half.

    Source: DeLong et al. 1988, "Comparing the Areas under Two or More Correlated ROC Curves"; the O(n log n) form is
    Sun & Xu's (2014), with counts by distinct score in place of their mid-ranks.
    Args:
        labels: float or int (N,), 0 or 1.  scores: float (N,), of any scale.
    Returns:
        Estimate.
    Raises:
        UndefinedMetricError: the labels hold one class.
    """
    return auc_of_tallies([tally_of(*check_scores(labels, scores))], level)


def pr_auc(labels, scores, level=0.95):
    """Average precision: the mean, over positives, of the precision among rows that score at least as high.

    Args, Returns and Raises as in `auc`.
    """
    return _pr_auc(tally_of(*check_scores(labels, scores)), level)


def gauc(labels, scores, groups, *, seed, level=0.95):
    """AUC within each group, averaged with the group's rows as weight; groups of one class are left out.

    Source: Zhou et al. 2018, "Deep Interest Network for Click-Through Rate Prediction", section 6.2.
    Args:
        labels: float or int (N,), 0 or 1.  scores: float (N,), of any scale.  groups: int (N,).
    Returns:
        Estimate; the interval is a bootstrap over groups.
    Raises:
        UndefinedMetricError: no group holds both classes.
    """
    labels, scores = check_scores(labels, scores)
    return _gauc(labels, tally_of(labels, scores), groups, seed, level)


def logloss(labels, scores, level=0.95):
    """Mean of -log(probability of the label), in nats, probabilities clipped by EPSILON.

    Args:
        labels: float or int (N,), 0 or 1.  scores: float (N,), probabilities.
    Returns:
        Estimate.
    Raises:
        UndefinedMetricError: fewer than two rows.
    """
    return _logloss(*check_probabilities(labels, scores), level)


def pcoc(labels, scores, level=0.95):
    """Predicted clicks over observed clicks: 1 is calibrated, above 1 promises too much.

    Args:
        labels: float or int (N,), 0 or 1.  scores: float (N,), probabilities.
    Returns:
        Estimate.
    Raises:
        UndefinedMetricError: fewer than two rows, or no positive.
    """
    return _pcoc(*check_probabilities(labels, scores), level)


def ne(labels, scores, *, seed, level=0.95):
    """Normalized entropy: log loss over that of always predicting the base rate, so 1 is no better than that.

    Source: He et al. 2014, "Practical Lessons from Predicting Clicks on Ads at Facebook".
    Args:
        labels: float or int (N,), 0 or 1.  scores: float (N,), probabilities.
    Returns:
        Estimate; the interval is a bootstrap over rows.
    Raises:
        UndefinedMetricError: the labels hold one class.
    """
    return _ne(*check_probabilities(labels, scores), seed, level)


def paired_auc_difference(labels, scores_a, scores_b, level=0.95):
    """AUC of a minus AUC of b on the same rows, by paired DeLong.

    Args:
        labels: float or int (N,), 0 or 1.  scores_a, scores_b: float (N,), of any scale.
    Returns:
        PairedDifference.
    Raises:
        UndefinedMetricError: a class has fewer than two rows, so that nothing is known of its spread.
    """
    (auc_a, components_a), (auc_b, components_b) = (auc_by_row(labels, scores) for scores in (scores_a, scores_b))
    difference_N, labels = components_a - components_b, np.asarray(labels) == 1
    error = math.hypot(*(_standard_error(difference_N[labels == label]) for label in (True, False)))
    return _paired(auc_a - auc_b, error, level)


def paired_logloss_difference(labels, scores_a, scores_b, level=0.95):
    """Log loss of a minus log loss of b on the same rows; below 0 where a is better.

    Args:
        labels: float or int (N,), 0 or 1.  scores_a, scores_b: float (N,), probabilities.
    Returns:
        PairedDifference.
    Raises:
        UndefinedMetricError: fewer than two rows.
    """
    difference_N = losses_by_row(labels, scores_a) - losses_by_row(labels, scores_b)
    return _paired(float(difference_N.mean()), _standard_error(difference_N), level)


def auc_by_row(labels, scores):
    """AUC, and DeLong's structural component of each row: their spread within each class is that of the AUC.

    Args:
        labels: float or int (N,), 0 or 1.  scores: float (N,), of any scale.
    Returns:
        float, and float64 (N,).
    Raises:
        UndefinedMetricError: a class has fewer than two rows, so that nothing is known of its spread.
    """
    labels, scores = check_scores(labels, scores)
    num_positives = int(np.count_nonzero(labels))
    _require_both_classes(num_positives, len(labels) - num_positives, at_least=2)
    tally = tally_of(labels, scores)
    return _auc_value([tally])[0], _components_by_row(labels, tally)


def losses_by_row(labels, scores):
    """float64 (N,): what each row adds to the mean that is `logloss`; Args and Raises as there."""
    labels, scores = check_probabilities(labels, scores)
    _require_two_rows(labels)
    return _row_losses(labels, scores)


def check_scores(labels, scores):
    """Labels as bool (N,) and scores as they came, both (N,).

    Raises:
        InputError: a label is not 0 or 1, or a score is NaN or infinite.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    assert labels.shape == scores.shape == (labels.size,), (labels.shape, scores.shape)
    positive = labels == 1
    _refuse(labels, ~(positive | (labels == 0)), "labels", "0 or 1", "Check the columns named in data.labels.")
    advice = "A model that diverged gives such scores: lower optimizer.learning_rate."
    _refuse(scores, ~np.isfinite(scores), "scores", "finite numbers", advice)
    return positive, scores


def check_probabilities(labels, scores):
    """As check_scores; also refuses scores outside [0, 1]."""
    labels, scores = check_scores(labels, scores)
    advice = "Turn logits into probabilities with a sigmoid first."
    _refuse(scores, (scores < 0) | (scores > 1), "scores", "probabilities in [0, 1]", advice)
    return labels, scores


def tally_of(labels, scores):
    """Sorts once and counts; unsigned integers sort ten times as fast as an argsort of floats.

    Args:
        labels: bool (N,).  scores: float (N,).
    """
    codes, values = _codes(scores)
    keys = sort_keys(codes, labels)
    keys.sort()
    codes_U, positives, negatives = count_keys(keys)
    return Tally(codes, codes_U.view(np.float32) if values is None else values[codes_U], positives, negatives)


def count_keys(keys):
    """Distinct codes, their positives and their negatives, (U,) each, of sorted keys."""
    starts = run_starts(keys >> 1)
    positives = _run_sums(keys & 1, starts)
    return keys[starts] >> 1, positives, np.diff(starts, append=len(keys)) - positives


def _codes(scores):
    """Codes as in Tally, and what they stand for; None where they are the bits of the scores."""
    if scores.dtype == np.float32 and (scores.size == 0 or scores.min() >= 0):
        return float_codes(scores), None
    values, codes = np.unique(scores, return_inverse=True)
    return codes.astype(np.uint32), values


def float_codes(scores):
    """The bits of float32 scores, none below 0: they compare as the scores do."""
    return (scores + np.float32(0)).view(np.uint32)  # -0 becomes 0


def sort_keys(codes, labels):
    """uint32 (N,): by score, then by label."""
    return codes << 1 | labels


def run_starts(values):
    """Where each run of equal values starts: int64, one a run."""
    is_start = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=is_start[1:])
    return np.flatnonzero(is_start)


def require_both_classes(tally):
    _require_both_classes(tally.positives.sum(), tally.negatives.sum(), at_least=1)


def entry(metric, *args):
    """The estimate as {"value", "low", "high"}; all three None, and a "reason", where the metric does not exist."""
    try:
        return metric(*args)._asdict()
    except UndefinedMetricError as reason:
        return {"value": None, "low": None, "high": None, "reason": str(reason)}


def auc_of_tallies(tallies, level):
    """AUC from pieces of a tally in rising order of the score, no score in two of them: what `auc` computes.

    Args:
        tallies: gone through twice; what is held of them is one at a time.
    """
    value, num_positives, num_negatives = _auc_value(tallies)
    fewer = min(num_positives, num_negatives)
    squares = np.zeros(2)
    for tally, wins_U, losses_U in _components(tallies, num_positives, num_negatives):
        squares += np.dot(tally.positives, (wins_U - value) ** 2), np.dot(tally.negatives, (losses_U - value) ** 2)
    counts = np.array([num_positives, num_negatives])
    by_class = squares / np.maximum(counts - 1, 1) / counts
    variance = float(by_class.sum())
    # Nothing to estimate a spread from: a perfect or constant ranking, or a class of one row. AUC is the mean over all
    # ways to match rows of the two classes in `fewer` independent pairs, so it is no less certain than one such match,
    # and the binomial interval of that is safe.
    if fewer == 1 or variance == 0:
        return _estimate(value, wilson_interval(value, fewer, level))
    # The logit scale keeps the interval inside (0, 1), and covers better than the plain one near AUC 1 (20 positives
    # of 100, AUC .95: .93 against .85). With few positives their spread is itself uncertain, hence Student's t with
    # Satterthwaite's degrees of freedom (10 positives of 500, AUC .8: .94 against .90 with the normal quantile). What
    # no formula mends: above AUC .95 with some tens of positives, a test set without one of the rare misranked
    # positives looks too good, and coverage falls to .8-.9.
    freedom = variance**2 / float((by_class**2 / (counts - 1)).sum())
    return _estimate(value, logit_interval(value, math.sqrt(variance), student_quantile(level, freedom)))


def _auc_value(tallies):
    """(AUC, positives, negatives). Exact: twice the wins, a tie being one, is an integer below 2^63 up to 4e9 rows."""
    twice_wins = num_positives = num_negatives = 0
    for tally in tallies:
        below_U = num_negatives + _below(tally.negatives)
        twice_wins += int(np.dot(tally.positives, 2 * below_U + tally.negatives))
        num_positives += int(tally.positives.sum())
        num_negatives += int(tally.negatives.sum())
    _require_both_classes(num_positives, num_negatives, at_least=1)
    return twice_wins / (2 * num_positives * num_negatives), num_positives, num_negatives


def _components(tallies, num_positives, num_negatives):
    """Each tally with DeLong's structural components, float64 (U,): the share of negatives that a positive with this
    score beats, and the share of positives that beat a negative with it."""
    positives_below = negatives_below = 0
    for tally in tallies:
        wins_U = (negatives_below + _below(tally.negatives) + tally.negatives / 2) / num_negatives
        losses_U = 1 - (positives_below + _below(tally.positives) + tally.positives / 2) / num_positives
        yield tally, wins_U, losses_U
        positives_below += tally.positives.sum()
        negatives_below += tally.negatives.sum()


def _components_by_row(labels, tally):
    """float64 (N,): `wins` for positives, `losses` for negatives."""
    ((_, wins_U, losses_U),) = _components([tally], tally.positives.sum(), tally.negatives.sum())
    wins_N, losses_N = np.repeat(wins_U, tally.rows), np.repeat(losses_U, tally.rows)
    order = np.argsort(tally.codes)
    component_N = np.empty(len(labels))
    component_N[order] = np.where(labels[order], wins_N, losses_N)
    return component_N


def _pr_auc(tally, level):
    require_both_classes(tally)
    num_positives = tally.positives.sum()
    true_U, false_U = _at_or_above(tally.positives), _at_or_above(tally.negatives)
    precision_U = true_U / (true_U + false_U)
    value = np.dot(tally.positives, precision_U) / num_positives
    if value == 1:
        return _estimate(value, wilson_interval(value, num_positives, level))
    error = _average_precision_error(tally, true_U, false_U, precision_U - value)
    # Student's t as in _auc. A positive's own row lifts the precision at its rank, so average precision is too high by
    # about 1 / positives; below some 20 positives coverage drops to .9.
    quantile = student_quantile(level, max(num_positives - 1, 1))
    return _estimate(value, logit_interval(value, error, quantile))


def _average_precision_error(tally, true_U, false_U, excess_U):
    """The infinitesimal jackknife, which is what a bootstrap over rows comes to with ever more replicates: the root of
    the sum of squared derivatives by a row's weight. A row counts among the rows at or above every positive that scores
    no higher; a positive also enters the mean."""
    num_positives = tally.positives.sum()
    squared_U = (true_U + false_U) ** 2
    by_positive_U = (excess_U + np.cumsum(tally.positives * (false_U / squared_U))) / num_positives
    by_negative_U = np.cumsum(tally.positives * (true_U / squared_U)) / num_positives
    return math.sqrt(np.dot(tally.positives, by_positive_U**2) + np.dot(tally.negatives, by_negative_U**2))


def _gauc(labels, tally, groups, seed, level):
    if groups is None:
        raise UndefinedMetricError("the dataset has no group column")
    require_both_classes(tally)
    values_G, rows_G, num_groups = _group_aucs(labels, tally, np.asarray(groups))
    if len(values_G) == 0:
        raise UndefinedMetricError(f"no group holds both classes: {num_groups} groups, {len(labels)} rows")
    value = float(np.average(values_G, weights=rows_G))
    if len(values_G) == 1:
        return Estimate(value, 0.0, 1.0)  # one group says nothing of how groups differ
    return _estimate(value, bootstrap_interval(np.divide, [values_G * rows_G, rows_G], level, seed))


def _group_aucs(labels, tally, groups):
    """AUC and rows of each group with both classes, and the number of all groups."""
    group_C, positives_C, negatives_C = _cells(labels, tally, groups)
    starts = run_starts(group_C)
    positives_G, negatives_G = _run_sums(positives_C, starts), _run_sums(negatives_C, starts)
    below_C = _below(negatives_C)
    below_C -= np.repeat(below_C[starts], np.diff(starts, append=len(group_C)))
    twice_wins_G = _run_sums(positives_C * (2 * below_C + negatives_C), starts)
    both = (positives_G > 0) & (negatives_G > 0)
    values_G = twice_wins_G[both] / (2 * positives_G[both] * negatives_G[both])
    return values_G, (positives_G + negatives_G)[both].astype(np.float64), len(starts)


def _cells(labels, tally, groups):
    """Group, positives and negatives of each cell, by group and then by score: int64 (C,) each.

    Group, score and label go into one integer: sorting integers is many times faster than a lexsort.
    """
    assert groups.shape == labels.shape, (groups.shape, labels.shape)
    group_N = np.unique(groups, return_inverse=True)[1].astype(np.uint64)
    key_N = group_N << 32 | sort_keys(tally.codes, labels)
    key_N.sort()
    starts = run_starts(key_N >> 1)
    positives_C = _run_sums(key_N & 1, starts)
    group_C = key_N[starts] >> 32
    return group_C, positives_C, np.diff(starts, append=len(key_N)) - positives_C


def _logloss(labels, scores, level):
    _require_two_rows(labels)
    losses_N = _row_losses(labels, scores)
    value = float(losses_N.mean())
    return _estimate(value, log_interval(value, _standard_error(losses_N), normal_quantile(level)))


def _row_losses(labels, scores):
    """float64 (N,)"""
    probability_N = np.clip(scores.astype(np.float64), EPSILON, 1 - EPSILON)
    return -np.log(np.where(labels, probability_N, 1 - probability_N))


def _pcoc(labels, scores, level):
    _require_two_rows(labels)
    num_positives, scores = int(np.count_nonzero(labels)), scores.astype(np.float64)
    predicted = float(scores.sum())
    if num_positives == 0:
        raise UndefinedMetricError(_one_class(len(labels), 0))
    if predicted == 0:
        return Estimate(0.0, 0.0, 0.0)
    # log(predicted / clicks) moves by s / predicted - y / clicks with a row's weight.
    influence_N = scores / predicted - labels / num_positives
    value = predicted / num_positives
    return _estimate(value, log_interval(value, value * np.linalg.norm(influence_N), normal_quantile(level)))


def _ne(labels, scores, seed, level):
    num_positives = np.count_nonzero(labels)
    _require_both_classes(num_positives, len(labels) - num_positives, at_least=1)
    losses_N = _row_losses(labels, scores)
    value = _normalized_entropy(losses_N.sum(), num_positives, len(labels))
    columns = [losses_N, labels.astype(np.float64), np.ones(len(labels))]
    return _estimate(value, bootstrap_interval(_normalized_entropy, columns, level, seed))


def _normalized_entropy(losses, positives, rows):
    """From sums over rows."""
    rate = positives / rows
    return losses / rows / -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))


def _paired(difference, error, level):
    half = normal_quantile(level) * error
    return PairedDifference(difference, difference - half, difference + half, two_sided_p(difference, error))


def _estimate(value, interval):
    low, high = interval
    return Estimate(float(value), float(low), float(high))


def _log_distance_from_one(value):
    return abs(math.log(value)) if value > 0 else math.inf


def _standard_error(values):
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def _variance(values_U, counts_U, mean):
    """Of values that occur counts_U times; 0 for a single one."""
    return float(np.dot(counts_U, (values_U - mean) ** 2)) / max(int(counts_U.sum()) - 1, 1)


def _below(counts):
    """How many stand before each place."""
    return np.cumsum(counts) - counts


def _at_or_above(counts):
    return np.cumsum(counts[::-1])[::-1]


def _run_sums(values, starts):
    """int64, the sum of each run; reduceat cannot take no runs."""
    return np.add.reduceat(values, starts, dtype=np.int64) if len(starts) else np.zeros(0, np.int64)


def _require_two_rows(labels):
    if len(labels) < 2:
        raise UndefinedMetricError("one row only: an interval needs two" if len(labels) else "no rows")


def _require_both_classes(num_positives, num_negatives, at_least):
    if num_positives + num_negatives == 0:
        raise UndefinedMetricError("no rows")
    if min(num_positives, num_negatives) == 0:
        raise UndefinedMetricError(_one_class(num_positives + num_negatives, int(num_positives > 0)))
    if min(num_positives, num_negatives) < at_least:
        raise UndefinedMetricError(
            f"{num_positives} rows of class 1 and {num_negatives} of class 0: expected {at_least} of each"
        )


def _one_class(num_rows, label):
    return f"one class only: {num_rows} rows, all {label}"


def _refuse(values, is_wrong, name, expected, advice):
    if is_wrong.any():
        row = int(np.argmax(is_wrong))
        raise InputError(
            f"{name}: {np.count_nonzero(is_wrong)} of {len(values)} rows are wrong, the first is row {row} "
            f"with {values[row]}; expected {expected}. {advice}"
        )
