"""Metrics of predicted numbers over every row once, each with a confidence interval. Shape letter: N rows."""

import numpy as np

from rectrain.errors import InputError
from rectrain.evaluation.intervals import normal_quantile

HIGHER_IS_BETTER = {"mse": False, "r2": True}


def compute(labels, predictions, *, level=0.95):
    """Every metric of HIGHER_IS_BETTER.

    Args:
        labels, predictions: float (N,).
    Returns:
        {metric: {"value", "low", "high"}}: mse, the mean squared error; r2, the share of the labels' variance that the
        predictions explain. All three None, and a "reason", where the metric does not exist. The intervals are normal
        ones; that of r2 takes the variance of the labels as known.
    Raises:
        InputError: a prediction is NaN or infinite.
    """
    labels, predictions = np.asarray(labels, np.float64), np.asarray(predictions, np.float64)
    if not np.isfinite(predictions).all():
        raise InputError("predictions hold NaN or infinite numbers. Lower optimizer.learning_rate.")
    if len(labels) < 2:
        return dict.fromkeys(HIGHER_IS_BETTER, _missing(f"it needs two rows, not {len(labels)}"))
    squares_N = (labels - predictions) ** 2
    error = normal_quantile(level) * squares_N.std(ddof=1) / np.sqrt(len(labels))
    mse, variance = squares_N.mean(), labels.var()
    found = {"mse": _entry(mse, max(mse - error, 0.0), mse + error)}
    if variance == 0:
        return {**found, "r2": _missing("all labels are equal")}
    return {**found, "r2": _entry(*(1 - np.array([mse, mse + error, max(mse - error, 0.0)]) / variance))}


def _entry(value, low, high):
    return {"value": float(value), "low": float(low), "high": float(high)}


def _missing(reason: str):
    return {"value": None, "low": None, "high": None, "reason": reason}
