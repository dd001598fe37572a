"""What is done to a number before a model sees it: float64 functions, each one formula.

The export writes the same formulas as a TensorFlow graph; the parameters they need are the entries of a feature's
`encoding` in schema.json.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def log1p(x):
    """sign(x) ln(1 + |x|)"""
    return np.sign(x) * np.log1p(np.abs(x))


def standardize(x, mean: float, sd: float):
    """(x - mean) / sd; 0 where the training split holds a single value (sd = 0)."""
    return (x - mean) / sd if sd > 0 else np.zeros_like(x)


def minmax(x, low: float, high: float):
    """(x - low) / (high - low), not clipped; 0 where the training split holds a single value (high = low)."""
    return (x - low) / (high - low) if high > low else np.zeros_like(x)


def log_square(x):
    """floor(ln(x)^2) for x > 2, else x.

    Source: the winning entry of Criteo's 2014 challenge (Juan et al. 2016, "Field-aware Factorization Machines").
    """
    return np.where(x > 2, np.floor(np.log(np.maximum(x, 2)) ** 2), x)


def quantile_bucket(x, edges):
    """1 + the number of edges <= x, int64. edges: float64, ascending and distinct."""
    return 1 + np.searchsorted(edges, x, side="right")


def scale(x, encoding: dict):
    """The transform of a numeric feature that stays a number, by its `encoding`. x: float64 without missing values."""
    match encoding["type"]:
        case "none":
            return x
        case "log1p":
            return log1p(x)
        case "standardize":
            return standardize(x, encoding["mean"], encoding["sd"])
        case "minmax":
            return minmax(x, encoding["min"], encoding["max"])
    raise AssertionError(encoding)


def number_text(x) -> pa.Array:
    """Numbers as text: the shortest decimal that reads back as the same float64, without a point where x is whole.

    Equal numbers give equal text (-0 is 0), and text turned back into float64 gives equal numbers: a graph without
    such a formatter may look up the number instead.
    """
    return pc.cast(pa.array(x + 0.0, pa.float64()), pa.string())
