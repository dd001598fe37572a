"""Progressive validation: metrics over scores that each row got before it was learned from.

Source: Blum, Kalai and Langford 1999, "Beating the Hold-Out: Bounds for K-fold and Progressive Cross-Validation".

The log loss is exact. As memory does not grow with the rows, AUC comes from counts in NUM_BINS bins of equal width, and
pairs within a bin count half.
"""

import math

import numpy as np

from rectrain.evaluation import intervals
from rectrain.evaluation.metrics import EPSILON, Tally, UndefinedMetricError, auc_of_tallies

NUM_BINS = 2**16
_ARRAYS = ("counts", "sums", "counts_before", "sums_before")
_SCORES = (np.arange(NUM_BINS) + 0.5) / NUM_BINS


class Progressive:
    """Of one task. Letters: N rows of a part."""

    def __init__(self):
        self.counts = np.zeros((2, NUM_BINS), np.int64)  # negatives and positives by score
        self.sums = np.zeros(3)  # of losses, of their squares, and of scores
        self.before = self.counts.copy(), self.sums.copy()  # the window

    def add(self, labels: np.ndarray, scores: np.ndarray):
        """labels: float32 (N,), 0 or 1.  scores: float (N,), probabilities."""
        clipped = np.clip(np.asarray(scores, np.float64), EPSILON, 1 - EPSILON)
        positive = labels == 1
        losses = -np.log(np.where(positive, clipped, 1 - clipped))
        for k, values in enumerate((losses, np.square(losses), scores)):
            # One after another, so that it does not matter in which parts the rows come.
            self.sums[k] = np.cumsum(np.concatenate([self.sums[k : k + 1], values]), dtype=np.float64)[-1]
        bins = np.minimum((scores * NUM_BINS).astype(np.int64), NUM_BINS - 1)
        for k, chosen in enumerate((bins[~positive], bins[positive])):
            self.counts[k] += np.bincount(chosen, minlength=NUM_BINS)

    def window(self) -> dict:
        """Of the rows since the last call."""
        counts, sums = self.counts - self.before[0], self.sums - self.before[1]
        self.before = self.counts.copy(), self.sums.copy()
        return _figures(counts, sums)

    def overall(self) -> dict:
        """Of all rows so far: rows, logloss, auc and base_rate; what does not exist is None."""
        return _figures(self.counts, self.sums)

    def metrics(self) -> dict:
        """As a split's in report.json: rows, positives, and auc, logloss, pcoc and ne."""
        negatives, positives = (int(n) for n in self.counts.sum(axis=1))
        rows = negatives + positives
        loss, squares, predicted = self.sums
        mean, rate = loss / rows, positives / rows
        error = math.sqrt(max(squares / rows - mean**2, 0) / rows)
        low, high = intervals.log_interval(mean, error, intervals.normal_quantile(0.95))
        entropy = -sum(p * math.log(p) for p in (rate, 1 - rate) if p > 0)
        return {
            "rows": rows,
            "positives": positives,
            "auc": _auc_entry(self.counts),
            "logloss": {"value": mean, "low": low, "high": high},
            "pcoc": _plain(predicted / positives if positives else None, "no row is positive"),
            "ne": _plain(mean / entropy if entropy else None, "the rows hold one class"),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        return dict(zip(_ARRAYS, (self.counts, self.sums, *self.before), strict=True))

    def restore(self, arrays: dict[str, np.ndarray]):
        """arrays: as `arrays()` gives them, with values of its own."""
        self.counts, self.sums, *before = (arrays[name] for name in _ARRAYS)
        self.before = before[0], before[1]


def _figures(counts: np.ndarray, sums: np.ndarray) -> dict:
    rows, positives = int(counts.sum()), int(counts[1].sum())
    return {
        "rows": rows,
        "logloss": float(sums[0]) / rows if rows else None,
        "auc": _auc_entry(counts)["value"],
        "base_rate": positives / rows if rows else None,
    }


def _auc_entry(counts: np.ndarray) -> dict:
    filled = counts.any(axis=0)
    negatives, positives = counts[:, filled]
    try:
        tally = Tally(np.zeros(0, np.uint32), _SCORES[filled], positives, negatives)
        return auc_of_tallies([tally], 0.95)._asdict()
    except UndefinedMetricError as error:
        return {"value": None, "low": None, "high": None, "reason": str(error)}


def _plain(value: float | None, reason: str) -> dict:
    entry = {"value": value, "low": None, "high": None}
    return entry if value is not None else {**entry, "reason": reason}
