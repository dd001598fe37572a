"""Labels of what follows: whether a row's user has an event of some kind with the row's item at its time or later.

`add` every block of the log, `finish`, then `follow` the rows of any block. Memory follows the events of that kind and
their users and items, never the rows: 16 bytes an event, and 16 a pair (user, item) that has one.

Letters: N rows of a block, E events of the kind, P pairs.
"""

import numpy as np

from rectrain.config import DataConfig, LabelConfig
from rectrain.data import conditions, targets
from rectrain.data.blocks import Block
from rectrain.data.columns import later_labels, select, texts
from rectrain.data.values import ValueTable

_NO_PAIR = np.iinfo(np.int64).max


def of(data: DataConfig) -> dict[str, "LaterEvents"]:
    """One for each label with `later`, still empty."""
    return {name: LaterEvents(label, f"data.labels.{name}", data) for name, label in later_labels(data).items()}


class LaterEvents:
    """The last moment of each (user, item) pair's events. A row without a user or an item has none, before or after.

    Args:
        label: the condition that makes a row an event.  key: of the config, for messages.
    """

    def __init__(self, label: LabelConfig, key: str, data: DataConfig):
        assert data.history is not None
        assert data.time is not None
        self._label, self._key, self._time = label, key, data.time
        self._user, self._item = data.history.user, data.history.steps[0]  # columns
        self._users, self._items = ValueTable(), ValueTable()
        self._found = [(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0))]  # users, items, times

    def add(self, block: Block):
        events = np.flatnonzero(conditions.holds(block, self._label, self._key))
        if events.size:
            block = select(block, events)
            self._users.add(texts(block, self._user))
            self._items.add(texts(block, self._item))
            users, items = self._find(block)
            whole = (users >= 0) & (items >= 0)
            self._found.append((users[whole], items[whole], targets.times(block, self._time)[whole]))

    def finish(self):
        users, items, times = (np.concatenate(parts) for parts in zip(*self._found, strict=True))
        pairs, pair_of_event = np.unique(self._pairs(users, items), return_inverse=True)
        last = np.full(len(pairs), -np.inf)
        np.maximum.at(last, pair_of_event, times)
        self._known, self._last = np.append(pairs, _NO_PAIR), np.append(last, -np.inf)
        self._found.clear()

    def follow(self, block: Block) -> np.ndarray:
        """bool (N,)."""
        users, items = self._find(block)
        rows = np.flatnonzero((users >= 0) & (items >= 0))
        pairs = self._pairs(users[rows], items[rows])
        at = np.searchsorted(self._known, pairs)
        found = np.zeros(block.num_rows, bool)
        found[rows] = (self._known[at] == pairs) & (self._last[at] >= targets.times(block, self._time)[rows])
        return found

    def _find(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of users and items among those of events, int32 (N,); below 0 where there is none."""
        return self._users.find(texts(block, self._user)), self._items.find(texts(block, self._item))

    def _pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return users.astype(np.int64) * self._items.num_values + items
