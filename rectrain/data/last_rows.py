"""Each user's last two rows by time, found in one pass: split.by=last.

Letters: N rows of a block, U users.
"""

import numpy as np
import pyarrow as pa

from rectrain.data.compiled import compiled
from rectrain.data.values import ValueTable

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

    def codes(self, rows: np.ndarray) -> np.ndarray:
        """int (N,): 2 for a user's last row, 1 for the one before, else 0; all 0 for users of fewer than 3 rows."""
        if not hasattr(self, "_sorted"):
            enough = self._counts >= 3
            self._sorted = [np.sort(self._rows[enough, i]) for i in (0, 1)]
        last, before = (np.isin(rows, chosen, assume_unique=True) for chosen in self._sorted)
        return 2 * last.astype(np.int64) + before


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
