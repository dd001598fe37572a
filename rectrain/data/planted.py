"""Arithmetic of samples whose labels are drawn from a known logit. Letters: N rows, V values of one column."""

import math

import numpy as np


def standardize(numbers: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1 under the shares of the values. Both float (V,)."""
    centred = numbers - shares @ numbers
    return centred / math.sqrt(shares @ centred**2)


def draw_positions(shares: np.ndarray, num_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Values by their shares, float (V,): positions, int (N,)."""
    drawn = np.searchsorted(np.cumsum(shares), rng.random(num_rows), side="right")
    return np.minimum(drawn, np.flatnonzero(shares)[-1])  # the sum may end a rounding error below 1


def intercept(base_rate: float, variance: float) -> float:
    """What gives about the base rate: exactly it if the rest of the logit were normal, of mean 0 and this variance.

    Source: MacKay 1992, "The Evidence Framework Applied to Classification Networks" (the moderated output).
    """
    return math.log(base_rate / (1 - base_rate)) * math.sqrt(1 + math.pi * variance / 8)
