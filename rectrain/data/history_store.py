"""The history store: every user's events in order of time, and once more grouped by category, as memory-mapped arrays.

    history/
        starts.npy        int64 (U + 1,)   user u has the events starts[u] .. starts[u + 1] - 1, oldest first
        events.npy        records (E,)     time: uint32 or float64, since the first event of all; ids: unsigned, one of
                                           each step and of the action, from the feature's own 0
        by.npy            unsigned (H,)    the same events once for each of their categories, sorted within a user by
        by_position.npy   uint32 (H,)      (category, time): the category, and the event's place among the user's
        by_starts.npy     int64 (U + 1,)
        store.json        moment of the first event

An event is one record, as hits lie apart: each costs one miss of the caches and not one for each of its columns.

Written once, in two passes over blocks: events are scattered to their user's part as they come and sorted there in the
end, so memory follows the users and one chunk of events. A row of the data set needs (user, position) alone: its
history are the events starts[user] .. starts[user] + position - 1.

Letters: N rows of a block, U users, E events, H categories of all events.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rectrain.config import parse
from rectrain.data.compiled import compiled
from rectrain.errors import InputError
from rectrain.plain_files import map_array, read_json

FOLDER = "history"
_CHUNK_EVENTS = 4_000_000  # sorted at a time


@dataclass(frozen=True)
class HistoryStore:
    """The arrays of a store, read from disk as they are touched."""

    starts: np.ndarray
    events: np.ndarray
    first_moment: float
    by: np.ndarray | None
    by_position: np.ndarray | None
    by_starts: np.ndarray | None

    @staticmethod
    def open(folder: Path) -> "HistoryStore":
        """Raises InputError where a file is missing or damaged."""
        try:
            first_moment = parse(float, read_json(folder / "store.json")["first_moment"], "first_moment")
            arrays = {path.stem: map_array(path) for path in folder.glob("*.npy")}
            by = (arrays.get(name) for name in ("by", "by_position", "by_starts"))
            return HistoryStore(arrays["starts"], arrays["events"], first_moment, *by)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise InputError(
                f"{folder} is not a whole history store ({error}). Remove the prepared data set (data.prepared_dir); "
                "the next run prepares it again."
            ) from error

    def positions(self, users: np.ndarray, times: np.ndarray) -> np.ndarray:
        """int32 (N,): how many events of a user lie strictly before a moment; 0 for the unknown user -1.

        Args:
            users: int32 (N,).  times: float64 (N,).
        """
        return _positions(users, times - self.first_moment, self.starts, self.events["time"])


@compiled()
def _positions(users, times, starts, event_times):
    positions = np.zeros(len(users), np.int32)
    for i in range(len(users)):
        if users[i] >= 0:
            low, high = starts[users[i]], starts[users[i] + 1]
            while low < high:
                middle = (low + high) // 2
                if event_times[middle] < times[i]:
                    low = middle + 1
                else:
                    high = middle
            positions[i] = low - starts[users[i]]
    return positions


class HistoryWriter:
    """Fills a folder with a store.

    Args:
        counts: int64 (U,), events of each user.
        first_moment, last_moment, whole: of the times of all events; whole: none has a fraction.
        num_ids: ids of each step and of the action.
        num_categories: ids of the column that groups hits; None: there is none.
    """

    def __init__(
        self,
        folder: Path,
        counts: np.ndarray,
        *,
        first_moment: float,
        last_moment: float,
        whole: bool,
        num_ids: dict[str, int],
        num_categories: int | None,
    ):
        folder.mkdir()
        self._folder, self._first_moment = folder, first_moment
        self._num_categories = num_categories
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._free = self._starts[:-1].copy()  # the next free place of each user
        fits = whole and last_moment - first_moment < 2**32
        kinds = [(name, smallest_type(number)) for name, number in num_ids.items()]
        event = np.dtype([("time", np.uint32 if fits else np.float64), ("ids", kinds)])
        self._events = _new_array(folder / "events.npy", event, int(self._starts[-1]))
        self._categories: list[tuple[np.ndarray, np.ndarray]] = []
        self._tags = _Spool(folder / "tags.tmp") if num_categories is not None else None

    def add(self, users: np.ndarray, times: np.ndarray, ids: dict[str, np.ndarray], categories):
        """Events in any order.

        Args:
            users: int32 (N,).  times: float64 (N,).  ids: int (N,) of each step and of the action.
            categories: None, or ids of all events one after the other, int (M,), and how many each has, int (N,).
        """
        places = np.empty(len(users), np.int64)
        _take_places(users, self._free, places)
        events = np.empty(len(users), self._events.dtype)
        events["time"] = times - self._first_moment
        for name, column in ids.items():
            events["ids"][name] = column
        self._events[places] = events
        if self._tags is not None:
            values, lengths = categories
            known = values != 0
            self._tags.write(np.repeat(places, lengths)[known], values[known])

    def finish(self):
        """Sorts the events and writes the rest."""
        new_places = (
            None if self._tags is None else _new_array(self._folder / "places.tmp", np.int64, len(self._events))
        )
        for first, last in _chunks(self._starts):
            begin, end = self._starts[first], self._starts[last]
            users = np.repeat(np.arange(first, last), np.diff(self._starts[first : last + 1]))
            order = np.lexsort(
                (self._events["time"][begin:end], users)
            )  # stable: events of one moment in the order they came
            self._events[begin:end] = self._events[begin:end][order]
            if new_places is not None:
                new_places[begin + order] = np.arange(begin, end)
        np.save(self._folder / "starts.npy", self._starts)
        if new_places is not None:
            self._group(new_places)
        told = json.dumps({"first_moment": self._first_moment})
        (self._folder / "store.json").write_text(told, encoding="utf-8")

    def _group(self, new_places: np.ndarray):
        """The events by category."""
        assert self._tags is not None
        assert self._num_categories is not None
        counts = np.zeros(len(self._starts) - 1, np.int64)
        for places, _ in self._tags.blocks():
            counts += np.bincount(self._user_of(places), minlength=len(counts))
        starts = np.concatenate([[0], np.cumsum(counts)])
        free = starts[:-1].copy()
        by = _new_array(self._folder / "by.npy", smallest_type(self._num_categories), int(starts[-1]))
        position = _new_array(self._folder / "by_position.npy", np.uint32, int(starts[-1]))
        for places, categories in self._tags.blocks():
            users = self._user_of(places)
            into = np.empty(len(users), np.int64)
            _take_places(users, free, into)
            by[into], position[into] = categories, new_places[places] - self._starts[users]
        for first, last in _chunks(starts):
            begin, end = starts[first], starts[last]
            users = np.repeat(np.arange(first, last), np.diff(starts[first : last + 1]))
            order = np.lexsort((position[begin:end], by[begin:end], users))
            by[begin:end], position[begin:end] = by[begin:end][order], position[begin:end][order]
        np.save(self._folder / "by_starts.npy", starts)
        self._tags.remove()
        (self._folder / "places.tmp").unlink()

    def _user_of(self, places: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._starts, places, side="right") - 1


class _Spool:
    """(place, category) pairs put aside on disk."""

    _kind = np.dtype([("place", np.int64), ("category", np.int32)])

    def __init__(self, path: Path):
        self._path = path
        self._file = path.open("wb")

    def write(self, places: np.ndarray, categories: np.ndarray):
        pairs = np.empty(len(places), self._kind)
        pairs["place"], pairs["category"] = places, categories
        self._file.write(pairs.tobytes())

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        self._file.flush()
        with self._path.open("rb") as file:
            while len(pairs := np.fromfile(file, self._kind, _CHUNK_EVENTS)):
                yield pairs["place"], pairs["category"]

    def remove(self):
        self._file.close()
        self._path.unlink()


def smallest_type(num_ids: int) -> np.dtype:
    """The smallest unsigned type that holds 0 .. num_ids - 1."""
    return np.min_scalar_type(num_ids - 1)


def _new_array(path: Path, kind, size: int) -> np.ndarray:
    if size == 0:  # cannot be mapped
        np.save(path.open("wb"), np.empty(0, kind))
        return np.empty(0, kind)
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=(size,))


def _chunks(starts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of users with about _CHUNK_EVENTS events together; a user is never cut."""
    first = 0
    while first < len(starts) - 1:
        last = int(np.searchsorted(starts, starts[first] + _CHUNK_EVENTS, side="right")) - 1
        last = max(last, first + 1)
        yield first, last
        first = last


@compiled()
def _take_places(users, free, places):
    for i in range(len(users)):
        places[i] = free[users[i]]
        free[users[i]] += 1
