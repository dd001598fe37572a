"""Logistic regression on one row after another, compiled: scored, then learned from, before the next is looked at.

State: float32 (C + 1, 3), of each coordinate its weight w, z and n; the last one is the bias. One place in memory holds
what a coordinate needs, so a value costs one cache miss. Arithmetic is in float64, what is kept in float32. A row that
names a coordinate twice moves it twice.

Letters: N rows, M values of a row, C coordinates.
"""

import math

import numba
import numpy as np

from rectrain.data.compiled import compiled
from rectrain.optimizers.rates import RATES

_INVERSE_SQRT, _PER_COORDINATE = (RATES.index(name) for name in ("inverse_sqrt", "per_coordinate"))
_NUM_HASHES = 3
_MULTIPLIERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))


# Inlined before types are known: a call would count references of the arrays.
@numba.njit(inline="always")
def _probability(state, ids, values, i):
    """Of row i, with the weights as they are."""
    logit = np.float64(state[len(state) - 1, 0])
    for j in range(ids.shape[1]):
        c = ids[i, j]
        if c >= 0:
            logit += np.float64(state[c, 0]) * (np.float64(values[i, j]) if values.shape[0] > 0 else 1.0)
    return 1 / (1 + math.exp(-logit))


@compiled()
def ftrl(state, ids, values, labels, weights, alpha, beta, lambda1, lambda2, scores):
    """FTRL-Proximal, with the rule of optimizers/ftrl.py for every coordinate of a row.

    Source: McMahan et al. 2013, "Ad Click Prediction: a View from the Trenches", Algorithm 1.
    Args:
        state: changed in place.  ids: int32 (N, M), coordinates; -1: no value.
        values: float32 (N, M); or (0, 0): all are 1.  labels, weights: float32 (N,).
        scores: float64 (N,), takes the probability of each row before it was learned from.
    """
    bias, num_values = len(state) - 1, ids.shape[1]
    counted = values.shape[0] > 0
    for i in range(len(ids)):
        scores[i] = _probability(state, ids, values, i)
        error = (scores[i] - labels[i]) * weights[i]
        if error == 0:
            continue
        for j in range(num_values + 1):
            c, threshold, gradient = np.int64(bias), 0.0, error
            if j < num_values:
                c, threshold = np.int64(ids[i, j]), lambda1
                if c < 0:
                    continue
                if counted:
                    gradient = error * values[i, j]
            n = np.float64(state[c, 2])
            new_n = n + gradient * gradient
            root = math.sqrt(new_n)
            z = state[c, 1] + gradient - (root - math.sqrt(n)) / alpha * state[c, 0]
            state[c, 1] = z
            state[c, 2] = new_n
            if abs(z) <= threshold:
                state[c, 0] = 0
            else:
                divisor = (beta + root) / alpha + lambda2
                state[c, 0] = (math.copysign(threshold, z) - z) / divisor if divisor > 0 else 0


@compiled()
def gradient_descent(state, ids, values, labels, weights, rate, rates, lambda1, num_before, scores):
    """Online gradient descent with L1 by truncation, the rule of optimizers/sgd.py for every coordinate of a row.

    Sources: Zinkevich 2003, "Online Convex Programming and Generalized Infinitesimal Gradient Ascent"; Langford, Li and
        Zhang 2009, "Sparse Online Learning via Truncated Gradient".
    Args:
        rates: index in optimizers/rates.py.  num_before: rows learned from before these.
        The others as in `ftrl`; z is not used.
    """
    bias, num_values = len(state) - 1, ids.shape[1]
    counted = values.shape[0] > 0
    for i in range(len(ids)):
        scores[i] = _probability(state, ids, values, i)
        if weights[i] == 0:  # nor is it pulled: it does not count for the task
            continue
        error = (scores[i] - labels[i]) * weights[i]
        step = rate / math.sqrt(num_before + i + 1) if rates == _INVERSE_SQRT else rate
        for j in range(num_values + 1):
            c, threshold, gradient = np.int64(bias), 0.0, error
            if j < num_values:
                c, threshold = np.int64(ids[i, j]), lambda1
                if c < 0:
                    continue
                if counted:
                    gradient = error * values[i, j]
            if rates == _PER_COORDINATE:
                new_n = state[c, 2] + gradient * gradient
                state[c, 2] = new_n
                step = rate / math.sqrt(new_n) if new_n > 0 else 0.0
            w = state[c, 0] - step * gradient
            left = abs(w) - step * threshold
            state[c, 0] = math.copysign(left, w) if left > 0 else 0.0


@compiled()
def admit(ids, counters, threshold):
    """Takes away the coordinates that have not come `threshold` times yet, this time included: their ids become -1.

    Counts in a counting Bloom filter with conservative update: a coordinate may be let in too early, never too late.

    Source: McMahan et al. 2013, section 4.1 (Bloom filter inclusion).
    Args:
        ids: int32 (N, M), changed in place.  counters: uint8 (a power of two,), changed in place.  threshold: 2 to 255.
    """
    mask = np.uint64(len(counters) - 1)
    places = np.zeros(_NUM_HASHES, np.uint64)
    for i in range(ids.shape[0]):
        for j in range(ids.shape[1]):
            if ids[i, j] < 0:
                continue
            least = 255
            for k in range(_NUM_HASHES):
                h = (np.uint64(ids[i, j]) + np.uint64(1)) * _MULTIPLIERS[k]
                places[k] = (h ^ (h >> np.uint64(32))) & mask
                least = min(least, np.int64(counters[places[k]]))
            if least >= threshold:
                continue
            for k in range(_NUM_HASHES):
                if counters[places[k]] == least:
                    counters[places[k]] = least + 1
            if least + 1 < threshold:
                ids[i, j] = -1
