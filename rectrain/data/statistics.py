"""What numeric transforms take from the training split: float64, streamed, the same for any size of blocks.

Each class collects with `add(x)` (float64, no missing values) and hands over `parameters()`, the entries of `encoding`.
"""

import numpy as np

from rectrain.data.randoms import random_words

_CHUNK = 65_536  # values summed at a time: fixed, so that rounding does not depend on blocks
_EXACT_VALUES = 1_000_000


class Nothing:
    """For transforms without parameters."""

    needs_values, count = False, 0

    def add(self, x):
        pass

    def parameters(self) -> dict:
        return {}


class Moments:
    """Mean and standard deviation over N (not N - 1), measured from the first value: of equal values sd is exactly 0.

    Source: Chan, Golub & LeVeque 1983, "Algorithms for Computing the Sample Variance".
    """

    needs_values = True

    def __init__(self):
        self.count, self._origin = 0, None
        self._merged, self._mean, self._sum_of_squares = 0, 0.0, 0.0
        self._held = np.empty(0)

    def add(self, x):
        if self._origin is None and x.size:
            self._origin = x[0]
        self.count += x.size
        self._held = np.concatenate([self._held, x])
        whole = self._held.size // _CHUNK * _CHUNK
        for chunk in self._held[:whole].reshape(-1, _CHUNK):
            self._merge(chunk)
        self._held = self._held[whole:].copy()

    def _merge(self, x):
        with np.errstate(over="ignore", invalid="ignore"):  # caught where the transformed value is not finite
            x = x - self._origin
            mean = x.mean()
            shift, merged = mean - self._mean, self._merged + x.size
            self._sum_of_squares += ((x - mean) ** 2).sum() + shift**2 * self._merged * x.size / merged
            self._mean += shift * x.size / merged
            self._merged = merged

    def parameters(self) -> dict:
        if self._held.size:
            self._merge(self._held)
            self._held = np.empty(0)
        return {"mean": float(self._origin + self._mean), "sd": float(np.sqrt(self._sum_of_squares / self.count))}


class Extremes:
    needs_values = True

    def __init__(self):
        self.count, self._low, self._high = 0, np.inf, -np.inf

    def add(self, x):
        self.count += x.size
        self._low = min(self._low, x.min(initial=np.inf))
        self._high = max(self._high, x.max(initial=-np.inf))

    def parameters(self) -> dict:
        return {"min": float(self._low), "max": float(self._high)}


class Quantiles:
    """Edges between buckets of about equal counts: exact up to 1,000,000 values, above that from a uniform sample.

    Each value has a random priority that belongs to its position; the values of the lowest priorities are kept.
    """

    needs_values = True

    def __init__(self, buckets: int):
        self.count, self._buckets = 0, buckets
        self._values: list[np.ndarray] = []
        self._priorities: list[np.ndarray] = []
        self._num_held = 0

    def add(self, x):
        self._values.append(x)
        self._priorities.append(random_words(0, self.count, x.size))
        self.count += x.size
        self._num_held += x.size
        if self._num_held > 2 * _EXACT_VALUES:
            self._thin()

    def _thin(self):
        values, priorities = np.concatenate(self._values), np.concatenate(self._priorities)
        if values.size > _EXACT_VALUES:
            kept = np.argpartition(priorities, _EXACT_VALUES)[:_EXACT_VALUES]
            values, priorities = values[kept], priorities[kept]
        self._values, self._priorities, self._num_held = [values], [priorities], values.size

    def parameters(self) -> dict:
        """Edge i is at position floor(i n / buckets) of n sorted values; equal edges and those at the minimum merge."""
        self._thin()
        values = np.sort(self._values[0])
        edges = np.unique(values[np.arange(1, self._buckets) * values.size // self._buckets])
        return {"edges": edges[edges > values[0]].tolist()}
