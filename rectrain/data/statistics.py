"""What numeric transforms take from the training split: float64, streamed, the same for any size of blocks.

Each class collects with `add(x)` (float64, no missing values) and hands over `parameters()`, the entries of `encoding`.
Each file is summed on its own and the files are put together in their order, so the files of a data set may be read by
several machines: `begin_file(index)` says whose values follow, `state()` is what one file came to, and `absorb(state)`
takes it over. To the bit, nothing depends on who read which file.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from rectrain.data.randoms import random_words

_CHUNK = 65_536  # values summed at a time: fixed, so that rounding does not depend on blocks
_EXACT_VALUES = 1_000_000

State = Mapping[str, np.ndarray]


class Nothing:
    """For transforms without parameters."""

    needs_values, count = False, 0

    def begin_file(self, index: int):
        pass

    def add(self, x):
        pass

    def state(self) -> State:
        return {}

    def absorb(self, state: State):
        pass

    def parameters(self) -> dict:
        return {}


class _Sums(NamedTuple):
    """Of `number` values: their mean is origin + shift, and `squares` the sum of their squared distances from it.

    Source: Chan, Golub & LeVeque 1983, "Algorithms for Computing the Sample Variance".
    """

    number: np.float64
    origin: np.float64
    shift: np.float64
    squares: np.float64

    @staticmethod
    def of(x: np.ndarray, origin: np.float64) -> "_Sums":
        with np.errstate(over="ignore", invalid="ignore"):  # caught where the transformed value is not finite
            x = x - origin
            mean = x.mean()
            return _Sums(np.float64(x.size), origin, mean, ((x - mean) ** 2).sum())

    def and_then(self, other: "_Sums") -> "_Sums":
        if self.number == 0 or other.number == 0:
            return self if other.number == 0 else other
        with np.errstate(over="ignore", invalid="ignore"):
            number = self.number + other.number
            shift = other.origin - self.origin + other.shift - self.shift
            squares = self.squares + (other.squares + shift**2 * self.number * other.number / number)
            return _Sums(number, self.origin, self.shift + shift * other.number / number, squares)


_NO_SUMS = _Sums(*np.zeros(4))


class Moments:
    """Mean and standard deviation over N (not N - 1), measured from first values: of equal values sd is exactly 0."""

    needs_values = True

    def __init__(self):
        self.count = 0
        self._files_before = self._file = _NO_SUMS
        self._origin = None  # first value of the file
        self._held = np.empty(0)

    def begin_file(self, index: int):
        self._files_before = self._files_before.and_then(self._sums_of_file())
        self._file, self._origin, self._held = _NO_SUMS, None, np.empty(0)

    def add(self, x):
        if self._origin is None and x.size:
            self._origin = x[0]
        self.count += x.size
        self._held = np.concatenate([self._held, x])
        whole = self._held.size // _CHUNK * _CHUNK
        for chunk in self._held[:whole].reshape(-1, _CHUNK):
            self._file = self._file.and_then(_Sums.of(chunk, self._origin))
        self._held = self._held[whole:].copy()

    def _sums_of_file(self) -> _Sums:
        return self._file.and_then(_Sums.of(self._held, self._origin)) if self._held.size else self._file

    def state(self) -> State:
        return {"sums": np.array(self._sums_of_file())}

    def absorb(self, state: State):
        sums = _Sums(*state["sums"])
        self.count += int(sums.number)
        self._files_before = self._files_before.and_then(sums)

    def parameters(self) -> dict:
        sums = self._files_before.and_then(self._sums_of_file())
        return {"mean": float(sums.origin + sums.shift), "sd": float(np.sqrt(sums.squares / sums.number))}


class Extremes:
    needs_values = True

    def __init__(self):
        self.count, self._low, self._high = 0, np.inf, -np.inf

    def begin_file(self, index: int):
        pass

    def add(self, x):
        self.count += x.size
        self._low = min(self._low, x.min(initial=np.inf))
        self._high = max(self._high, x.max(initial=-np.inf))

    def state(self) -> State:
        return {"count": np.array(self.count), "extremes": np.array([self._low, self._high])}

    def absorb(self, state: State):
        self.count += int(state["count"])
        low, high = state["extremes"]
        self._low, self._high = min(self._low, low), max(self._high, high)

    def parameters(self) -> dict:
        return {"min": float(self._low + 0.0), "max": float(self._high + 0.0)}  # -0 is 0, whichever came first


class Quantiles:
    """Edges between buckets of about equal counts: exact up to 1,000,000 values, above that from a uniform sample.

    Each value has a random priority that belongs to its file and its position there; the values of the lowest
    priorities are kept.
    """

    needs_values = True

    def __init__(self, buckets: int):
        self.count, self._buckets = 0, buckets
        self._file = self._position = 0
        self._values, self._priorities = [np.zeros(0)], [np.zeros(0, np.uint64)]
        self._num_held = 0

    def begin_file(self, index: int):
        self._file, self._position = index, 0

    def add(self, x):
        self._keep(x, random_words(self._file, self._position, x.size))
        self._position += x.size

    def _keep(self, values, priorities):
        self._values.append(values)
        self._priorities.append(priorities)
        self.count += values.size
        self._num_held += values.size
        if self._num_held > 2 * _EXACT_VALUES:
            self._thin()

    def _thin(self):
        values, priorities = np.concatenate(self._values), np.concatenate(self._priorities)
        if values.size > _EXACT_VALUES:
            kept = np.argpartition(priorities, _EXACT_VALUES)[:_EXACT_VALUES]
            values, priorities = values[kept], priorities[kept]
        self._values, self._priorities, self._num_held = [values], [priorities], values.size

    def state(self) -> State:
        self._thin()
        return {"values": self._values[0], "priorities": self._priorities[0]}

    def absorb(self, state: State):
        self._keep(state["values"], state["priorities"])

    def parameters(self) -> dict:
        """Edge i is at position floor(i n / buckets) of n sorted values; equal edges and those at the minimum merge."""
        self._thin()
        values = np.sort(self._values[0]) + 0.0  # -0 is 0, whichever came first
        edges = np.unique(values[np.arange(1, self._buckets) * values.size // self._buckets])
        return {"edges": edges[edges > values[0]].tolist()}
