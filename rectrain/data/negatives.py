"""Sampled negatives for a log of what happened: the same user and moment, with an item that the user never has.

"Never" means in no row of the whole log, before or after. A draw belongs to (seed, row of the log, number of the
negative), so it does not depend on blocks or threads. With power 0 all items of the log that the user does not have are
equally likely, drawn exactly. With power > 0 an item is drawn by its count in the training split to that power, again
where the user has it; after 100 draws the row falls back on equal chances.

Letters: N rows, U users, I items of the log, K negatives of a row.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from rectrain.data.compiled import compiled
from rectrain.data.values import ValueTable

_TRIES = 100


class ItemsOfUsers:
    """Which items each user has: filled block by block, then sorted. Lies on disk, four bytes for each row of the log.

    Args:
        path: of a file that is made.  counts: int64 (U,), rows of each user.
    """

    def __init__(self, path: Path, counts: np.ndarray):
        self._path = path
        self.starts = np.concatenate([[0], np.cumsum(counts)])
        self.items = np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=(int(self.starts[-1]),))
        self._free = self.starts[:-1].copy()

    def add(self, users: np.ndarray, items: np.ndarray):
        """Both int32 (N,)."""
        _append(users, items, self._free, self.items)

    def finish(self):
        """Sorts each user's items and drops repeated ones."""
        self._ends = self.starts[1:].copy()
        _sort_and_drop_repeated(self.starts, self.items, self._ends)

    def remove(self):
        self._path.unlink()

    def draw(self, users, rows, num_items: int, per_positive: int, seed: int, weights: np.ndarray | None):
        """int32 (N, K): items; -1 where a user has all of them.

        Args:
            users: int32 (N,).  rows: int64 (N,), indices in the log.  weights: float64 (I,); None: all alike.
        """
        cumulative = np.zeros(0) if weights is None else np.cumsum(weights)
        drawn = np.empty((len(users), per_positive), np.int32)
        _draw(users, rows, num_items, np.uint64(seed), self.starts, self._ends, self.items, cumulative, drawn)
        return drawn


@compiled()
def _append(users, items, free, into):
    for i in range(len(users)):
        into[free[users[i]]] = items[i]
        free[users[i]] += 1


@compiled()
def _sort_and_drop_repeated(starts, items, ends):
    for user in range(len(ends)):
        own = items[starts[user] : starts[user + 1]]
        own.sort()
        kept = 0
        for i in range(len(own)):
            if i == 0 or own[i] != own[kept - 1]:
                own[kept] = own[i]
                kept += 1
        ends[user] = starts[user] + kept


@compiled()
def _draw(users, rows, num_items, seed, starts, ends, items, cumulative, drawn):
    for i in range(len(users)):
        own = items[starts[users[i]] : ends[users[i]]]
        for k in range(drawn.shape[1]):
            drawn[i, k] = -1
            if len(own) >= num_items:
                continue
            if len(cumulative):
                for attempt in range(_TRIES):
                    x = _fraction(seed, rows[i], k, attempt) * cumulative[-1]
                    item = np.searchsorted(cumulative, x, side="right")
                    at = np.searchsorted(own, item)
                    if at == len(own) or own[at] != item:
                        drawn[i, k] = item
                        break
            if drawn[i, k] < 0:
                drawn[i, k] = _missing(own, int(_fraction(seed, rows[i], k, _TRIES) * (num_items - len(own))))


@compiled()
def _missing(own, rank):
    """The item of this rank among those that are not in `own`, sorted: own[j] has own[j] - j such items before it."""
    low, high = 0, len(own)
    while low < high:
        middle = (low + high) // 2
        if own[middle] - middle <= rank:
            low = middle + 1
        else:
            high = middle
    return rank + low


@compiled()
def _fraction(seed, row, number, attempt):
    """Uniform in [0, 1). Source: Steele et al. 2014, "Fast Splittable Pseudorandom Number Generators" (SplitMix64)."""
    z = np.uint64(seed)
    for word in (np.uint64(row), np.uint64(number), np.uint64(attempt)):
        z = (z ^ word) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * 2.0**-53


class Items:
    """The items of a log: numbered, counted in the training split, with what a row says of each of them."""

    def __init__(self):
        self._table = ValueTable()
        self._is_known = np.zeros(0, bool)
        self._known: dict[str, np.ndarray] = {}

    def observe(self, keys: pa.Array, in_train: np.ndarray):
        """keys: string (N,), none blank.  in_train: bool (N,)."""
        self._table.add(keys, in_train.astype(np.int64))

    def find(self, keys: pa.Array) -> np.ndarray:
        """int32 (N,)."""
        return self._table.find(keys)

    def __len__(self) -> int:
        return self._table.num_values

    def weights(self, power: float) -> np.ndarray | None:
        """float64 (I,); None: all alike."""
        return None if power == 0 else self._table.counts().astype(np.float64) ** power

    def learn(self, items: np.ndarray, told: dict[str, np.ndarray]):
        """Keeps what the first row of each item says of it. items: int32 (N,); told: arrays (N, ...)."""
        if not len(self._is_known):
            self._is_known = np.zeros(len(self), bool)
            self._known = {name: np.zeros((len(self), *a.shape[1:]), a.dtype) for name, a in told.items()}
        found, first = np.unique(items, return_index=True)
        new = ~self._is_known[found]
        self._is_known[found[new]] = True
        for name, values in told.items():
            self._known[name][found[new]] = values[first[new]]

    def known(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """What is known of these items, int (M,): arrays (M, ...)."""
        return {name: values[items] for name, values in self._known.items()}
