"""Each user's last two rows by time, found in one pass: split.by=last.

Letters: N rows of a block, U users.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from rectrain.data.compiled import compiled
from rectrain.data.values import ValueTable, saved_texts

_ROOM = 1024


class LastRows:
    """Memory follows the users, not the rows. Of rows at one moment the one that comes later in the files is later."""

    def __init__(self):
        self._users = ValueTable()
        self._times = np.full((_ROOM, 2), -np.inf)  # of the last row and of the one before it
        self._rows = np.full((_ROOM, 2), -1)
        self._counts = np.zeros(_ROOM, np.int64)

    def add(self, users: pa.Array, times: np.ndarray, rows: np.ndarray):
        """users: string (N,), none blank.  times: float64 (N,).  rows: int64 (N,), indices over all files."""
        self._users.add(users)
        while self._users.num_values > len(self._counts):
            self._times = np.concatenate([self._times, np.full_like(self._times, -np.inf)])
            self._rows = np.concatenate([self._rows, np.full_like(self._rows, -1)])
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        _update(self._users.find(users), times, rows, self._times, self._rows, self._counts)

    def state(self) -> dict[str, np.ndarray]:
        num_users = self._users.num_values
        own = {"last_times": self._times, "last_rows": self._rows, "totals": self._counts}
        return {**self._users.state(), **{name: array[:num_users] for name, array in own.items()}}

    def absorb(self, state: Mapping[str, np.ndarray], first_row: int):
        """What another one found in later rows, whose row 0 is first_row here."""
        for users, which in saved_texts(state):
            times, rows, counts = (state[name][which] for name in ("last_times", "last_rows", "totals"))
            for i in (1, 0):  # the row before the last one comes first
                there = np.flatnonzero(rows[:, i] >= 0)
                self.add(users.take(pa.array(there)), times[there, i], first_row + rows[there, i])
            self._counts[self._users.find(users)] += counts - (rows >= 0).sum(axis=1)  # those of `add` are counted

    def found(self) -> tuple[np.ndarray, np.ndarray]:
        """Each user's last rows and the rows before these, int64, rising; of users of 3 rows or more."""
        last, before = (np.sort(self._rows[self._counts >= 3, i]) for i in (0, 1))
        return last, before


@compiled()
def _update(users, times, rows, last_times, last_rows, counts):
    for i in range(len(users)):
        user = users[i]
        counts[user] += 1
        if times[i] >= last_times[user, 0]:
            last_times[user, 1], last_rows[user, 1] = last_times[user, 0], last_rows[user, 0]
            last_times[user, 0], last_rows[user, 0] = times[i], rows[i]
        elif times[i] >= last_times[user, 1]:
            last_times[user, 1], last_rows[user, 1] = times[i], rows[i]
