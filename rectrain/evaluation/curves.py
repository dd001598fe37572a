"""The points of a ROC curve and of a calibration plot. Shape letters: N rows, P points, M bins."""

from typing import NamedTuple

import numpy as np

from rectrain.evaluation.intervals import wilson_interval
from rectrain.evaluation.metrics import (
    UndefinedMetricError,
    check_probabilities,
    check_scores,
    require_both_classes,
    tally_of,
)


class CalibrationCurve(NamedTuple):
    score: np.ndarray  # float64 (M,), mean score of the bin, rising
    rate: np.ndarray  # float64 (M,), mean label
    rows: np.ndarray  # int64 (M,)
    low: np.ndarray  # float64 (M,), Wilson interval of the rate
    high: np.ndarray  # float64 (M,)


def roc_curve(labels, scores, num_points):
    """False and true positive rate as the threshold falls, from (0, 0) to (1, 1).

    A curve of more points is thinned to points about equally far apart along it: fpr + tpr grows by
    2 / (num_points - 1) from one to the next, so the drawn line strays no further than that.

    Args:
        labels: float or int (N,), 0 or 1.  scores: float (N,), of any scale.  num_points: at least 2.
    Returns:
        fpr and tpr, float64 (P,) each, P <= num_points.
    Raises:
        UndefinedMetricError: the labels hold one class.
    """
    assert num_points >= 2, num_points
    tally = tally_of(*check_scores(labels, scores))
    require_both_classes(tally)
    fpr, tpr = _shares_above(tally.negatives), _shares_above(tally.positives)
    if len(fpr) <= num_points:
        return fpr, tpr
    kept = np.unique(np.searchsorted(fpr + tpr, np.linspace(0, 2, num_points)))
    return fpr[kept], tpr[kept]


def calibration_curve(labels, scores, num_bins, level=0.95):
    """Mean score against mean label in bins of about equal count.

    Rows of equal score share a bin, so there are fewer bins where scores repeat.

    Args:
        labels: float or int (N,), 0 or 1.  scores: float (N,), probabilities.
    Returns:
        CalibrationCurve, M <= num_bins.
    Raises:
        UndefinedMetricError: no rows.
    """
    labels, scores = check_probabilities(labels, scores)
    if len(labels) == 0:
        raise UndefinedMetricError("no rows")
    tally = tally_of(labels, scores)
    starts = _bin_starts(tally.rows, num_bins)
    rows = np.add.reduceat(tally.rows, starts)
    rate = np.add.reduceat(tally.positives, starts) / rows
    score = np.add.reduceat(tally.scores.astype(np.float64) * tally.rows, starts) / rows
    return CalibrationCurve(score, rate, rows, *wilson_interval(rate, rows, level))


def _shares_above(counts):
    """Share of the counts at or above each distinct score, from the highest score down, after a leading 0."""
    return np.concatenate([[0], np.cumsum(counts[::-1])]) / counts.sum()


def _bin_starts(rows, num_bins):
    """First distinct score of each bin: a bin ends with the score that reaches its share of the rows."""
    ends = np.cumsum(rows)
    targets = np.arange(1, num_bins) * ends[-1] / num_bins
    starts = np.unique(np.append(0, np.searchsorted(ends, targets) + 1))
    return starts[starts < len(rows)]
