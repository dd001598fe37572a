"""A log of events as a data set: who did what before a row, and rows of label 0 that are sampled.

The way of the log: `observe` every block (users, items and moments are counted), `begin`, `index` every block (events
go into the history store, items into what their users have), `finish`; then `rows` makes the rows of a block.

Letters: N rows of a block, M of them rows of the data set, K negatives for each of these.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from rectrain.config import DataConfig
from rectrain.data import conditions, targets
from rectrain.data.blocks import Block
from rectrain.data.columns import select, texts, unexpected
from rectrain.data.history_store import FOLDER, HistoryStore, HistoryWriter
from rectrain.data.item_columns import ItemColumns, Packed, repeated
from rectrain.data.negatives import Items, ItemsOfUsers
from rectrain.data.plan import Features
from rectrain.data.values import ValueTable
from rectrain.data.vocab import is_null
from rectrain.errors import InputError
from rectrain.schema import HISTORY


class Log:
    def __init__(self, data: DataConfig, features: Features, later: targets.Later):
        assert data.history is not None
        self._data, self._history, self._negatives, self._features = data, data.history, data.negatives, features
        self._later = later
        self._users = ValueTable()
        if data.negatives is not None:
            self._items, self._of_item = Items(), ItemColumns(features, data.negatives.columns)
        self._rows_of_user = _Counts()
        self._events_of_user = _Counts()
        self._moments = _Moments()

    def observe(self, block: Block, in_train: np.ndarray | None):
        """Counts a block of the log, rows of any split. in_train: bool (N,); None where no negatives are drawn."""
        self._users.add(self._user_texts(block))
        users = self._users.find(self._user_texts(block))
        self._rows_of_user.add(users)
        is_event = self._is_event(block)
        self._events_of_user.add(users[is_event])
        self._moments.add(self._times(block)[is_event])
        if self._negatives is not None:
            assert in_train is not None
            self._items.observe(self._item_texts(block), in_train)

    def begin(self, folder: Path):
        """Makes room for what `index` fills."""
        num_users = self._users.num_values
        self._folder = folder / FOLDER
        names = {name: self._features.num_ids(name) for name in self._history.steps}
        if self._features.action is not None:
            names["action"] = self._features.action.num_rows
        self._writer = HistoryWriter(
            self._folder,
            self._events_of_user.counts(num_users),
            **self._moments.known(),
            num_ids=names,
            num_categories=None if self._history.by is None else self._features.num_ids(self._history.by),
        )
        if self._negatives is not None:
            self._has = ItemsOfUsers(folder / "items.tmp", self._rows_of_user.counts(num_users))

    def index(self, block: Block):
        """Puts a block's events into the store."""
        if self._negatives is not None:
            items = self._items.find(self._item_texts(block))
            self._has.add(self._users.find(self._user_texts(block)), items)
            self._items.learn(items, self._of_item.of(self._features.encode(block)))
        events = np.flatnonzero(self._is_event(block))
        if events.size:
            block = select(block, events)
            users = self._users.find(self._user_texts(block))
            self._writer.add(users, self._times(block), self._step_ids(block), self._categories(block))

    def finish(self):
        self._writer.finish()
        self._store = HistoryStore.open(self._folder)
        if self._negatives is not None:
            self._has.finish()

    def remove_what_is_temporary(self):
        if self._negatives is not None:
            self._has.remove()

    def rows(self, block: Block, rows: np.ndarray) -> Packed:
        """The packed rows of a block of the data set's rows, each followed by its K negatives.

        Args:
            rows: int64 (M,), their indices in the log.
        """
        packed: Packed = {**self._features.encode(block), **targets.read(block, self._data, self._later)}
        packed[HISTORY] = self.places(block)
        return packed if self._negatives is None else self._with_negatives(block, packed, packed[HISTORY][:, 0], rows)

    def places(self, block: Block) -> np.ndarray:
        """int32 (N, 2): the user of each row and how many events he has before it."""
        users = self._users.find(self._user_texts(block))
        return np.stack([users, self._store.positions(users, self._times(block))], axis=1)

    def _with_negatives(self, block: Block, packed: Packed, users: np.ndarray, rows: np.ndarray) -> Packed:
        config, items = self._negatives, self._items
        assert config is not None
        chances = items.weights(config.power)
        drawn_MK = self._has.draw(users, rows, len(items), config.per_positive, config.seed, chances)
        if (drawn_MK < 0).any():
            row = int(np.argmax((drawn_MK < 0).any(axis=1)))
            expected = "a user who does not have every item of the log, or there is no negative"
            raise unexpected(block, row, self._history.user, "data.negatives", expected)
        copies = 1 + config.per_positive
        packed = repeated(packed, copies)
        is_negative = np.arange(len(users) * copies) % copies > 0
        packed["labels"][is_negative] = 0
        self._of_item.put(packed, is_negative, items.known(drawn_MK.ravel()))
        return packed

    def _user_texts(self, block: Block) -> pa.Array:
        return _present(block, self._history.user, "data.history.user", "a user")

    def _item_texts(self, block: Block) -> pa.Array:
        assert self._negatives is not None
        return _present(block, self._negatives.columns[0], "data.negatives.columns", "an item")

    def _times(self, block: Block) -> np.ndarray:
        assert self._data.time is not None
        return targets.times(block, self._data.time)

    def _is_event(self, block: Block) -> np.ndarray:
        return conditions.holds(block, self._history.where, "data.history.where")

    def _step_ids(self, block: Block) -> dict[str, np.ndarray]:
        ids = {name: self._features.ids(block, name) for name in self._history.steps}
        if self._features.action is not None:
            ids["action"] = self._features.action.ids(block)
        return ids

    def _categories(self, block: Block):
        if self._history.by is None:
            return None
        ids = self._features.ids(block, self._history.by)
        return ids if isinstance(ids, tuple) else (ids, np.ones(len(ids), np.int64))


class _Counts:
    """How many rows each user has."""

    def __init__(self):
        self._counts = np.zeros(1024, np.int64)

    def add(self, users: np.ndarray):
        if users.size:
            found = np.bincount(users)
            if len(found) > len(self._counts):
                more = max(len(self._counts), len(found) - len(self._counts))
                self._counts = np.concatenate([self._counts, np.zeros(more, np.int64)])
            self._counts[: len(found)] += found

    def counts(self, num_users: int) -> np.ndarray:
        missing = max(num_users - len(self._counts), 0)
        return np.concatenate([self._counts, np.zeros(missing, np.int64)])[:num_users]


class _Moments:
    """First and last moment, and whether all are whole numbers."""

    def __init__(self):
        self._first, self._last, self._whole = np.inf, -np.inf, True

    def add(self, times: np.ndarray):
        self._first = min(self._first, times.min(initial=np.inf))
        self._last = max(self._last, times.max(initial=-np.inf))
        self._whole = self._whole and bool((times == np.floor(times)).all())

    def known(self) -> dict:
        if self._first > self._last:
            raise InputError("data.history.where holds for no row of the log: all histories are empty. Change it.")
        return {"first_moment": float(self._first), "last_moment": float(self._last), "whole": self._whole}


def _present(block: Block, column: str, key: str, what: str) -> pa.Array:
    found = texts(block, column)
    if found.null_count:
        raise unexpected(block, int(np.argmax(is_null(found))), column, key, what)
    return found
