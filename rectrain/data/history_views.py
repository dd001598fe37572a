"""(user, position) of a batch's rows -> the steps of their histories, read from the store.

Letters: B rows, T steps, G categories of a row.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rectrain.data.compiled import compiled
from rectrain.data.history_store import FOLDER, HistoryStore
from rectrain.schema import HISTORY, NUM_GAPS, History, Schema


@dataclass(frozen=True)
class HistoryViews:
    """Makes the tensors of the histories that a model reads."""

    store: HistoryStore
    histories: tuple[History, ...]
    by: tuple[str, int | None] | None  # a row's categories: ("categorical", its column), or (a multi-valued one, None)
    by_offset: int

    @staticmethod
    def of(schema: Schema, folder: Path, wanted) -> "HistoryViews | None":
        """Those of a prepared data set in `folder` that a model with these inputs reads; None where it reads none."""
        histories = tuple(h for h in schema.histories if h.from_log and f"{h.name}_valid" in wanted)
        if not histories:
            return None
        by, by_offset = _place_of(schema, schema.hits_by) if schema.hits_by is not None else (None, 0)
        return HistoryViews(HistoryStore.open(folder / FOLDER), histories, by, by_offset)

    def read(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """{"<history>_<step>": int32 (B, T), "<history>_valid": bool (B, T)} of every history; T at least 1."""
        read: dict[str, np.ndarray] = {}
        for history in self.histories:
            places, valid = self._places(history, batch)
            read[f"{history.name}_valid"] = valid
            events = _taken(self.store.events, places, valid)
            for step in history.steps:
                rows = np.empty(places.shape, np.int32)
                if step.name == "gap":
                    moments = batch["time"] - self.store.first_moment
                    _put_gaps(moments, events["time"], valid, step.offset, rows)
                else:
                    _put_ids(events["ids"][step.name], step.offset, rows)
                read[f"{history.name}_{step.name}"] = rows
        return read

    def _places(self, history: History, batch) -> tuple[np.ndarray, np.ndarray]:
        """Places of the steps among all events, int64 (B, T), and which of them are real, bool (B, T)."""
        users, positions = batch[HISTORY][:, 0], batch[HISTORY][:, 1]
        lengths = np.minimum(positions, history.max_length)
        if history.role == "hits":
            found = np.empty((len(users), history.max_length), np.int64)
            lengths = np.empty(len(users), np.int32)
            store = self.store
            _find_hits(
                users, positions, self._categories(batch), store.starts, store.by, store.by_position, store.by_starts,
                found, lengths,
            )  # fmt: skip
        num_steps = max(int(lengths.max(initial=0)), 1)
        valid = np.arange(num_steps) < lengths[:, None]
        if history.role == "hits":
            return found[:, :num_steps], valid
        first = self.store.starts[users] + positions - lengths
        return first[:, None] + np.arange(num_steps), valid

    def _categories(self, batch) -> np.ndarray:
        """int32 (B, G), from the feature's own 0, which is none."""
        assert self.by is not None
        name, column = self.by
        if column is not None:
            return batch[name][:, column : column + 1] - self.by_offset
        return np.where(batch[f"{name}_valid"], batch[name] - self.by_offset, 0)


def _place_of(schema: Schema, name: str) -> tuple[tuple[str, int | None], int]:
    for i, feature in enumerate(schema.categorical):
        if feature.name == name:
            return ("categorical", i), feature.offset
    multi_valued = next(f for f in schema.multi_valued if f.name == name)
    return (name, None), multi_valued.offset


def _taken(events: np.ndarray, places: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The events at these places, zeros where a step is not valid: records (B, T)."""
    taken = np.zeros(places.shape, events.dtype)
    _take(events, places, valid, taken)
    return taken


@compiled()
def _take(events, places, valid, taken):
    for b in range(places.shape[0]):
        for t in range(places.shape[1]):
            if valid[b, t]:
                taken[b, t] = events[places[b, t]]


@compiled()
def _put_ids(ids, offset, rows):
    for b in range(rows.shape[0]):
        for t in range(rows.shape[1]):
            rows[b, t] = offset + np.int64(ids[b, t])


@compiled()
def _put_gaps(moments, event_times, valid, offset, rows):
    """The bucket of the time from each event to its row's moment; 0 of padding."""
    gaps = np.empty(valid.shape[1], np.float64)
    exponents = gaps.view(np.int64)
    for b in range(valid.shape[0]):
        for t in range(valid.shape[1]):
            gaps[t] = moments[b] - event_times[b, t]
        for t in range(valid.shape[1]):
            if not valid[b, t]:
                bucket = 0
            elif gaps[t] < 0:
                bucket = 1
            elif gaps[t] == 0:
                bucket = 2
            else:  # the exponent of a float is the floor of its logarithm, without its cost
                bucket = 3 + min(max((exponents[t] >> 52) - 1023, 0), NUM_GAPS - 4)
            rows[b, t] = offset + bucket


@compiled()
def _find_hits(users, positions, categories, starts, by, by_position, by_starts, found, lengths):
    """The newest events of each row's user, before its position, that have one of its categories; oldest first.

    A binary search finds where each category's events before the position end; from there the newest are taken.
    """
    most = found.shape[1]
    num_categories = categories.shape[1]
    begins, ends = np.empty(num_categories, np.int64), np.empty(num_categories, np.int64)
    for b in range(len(users)):
        user, count = users[b], 0
        for g in range(num_categories):
            begins[g], ends[g] = 0, 0
            if categories[b, g] != 0 and user >= 0:
                low, high = by_starts[user], by_starts[user + 1]
                begins[g] = _first_not_below(by, by_position, low, high, categories[b, g], 0)
                ends[g] = _first_not_below(by, by_position, begins[g], high, categories[b, g], positions[b])
        while count < most:
            newest = np.int64(-1)
            for g in range(num_categories):
                if ends[g] > begins[g]:
                    newest = max(newest, np.int64(by_position[ends[g] - 1]))
            if newest < 0:
                break
            for g in range(num_categories):  # an event of several of the categories counts once
                if ends[g] > begins[g] and by_position[ends[g] - 1] == newest:
                    ends[g] -= 1
            count += 1
            found[b, most - count] = starts[user] + newest
        lengths[b] = count
        for i in range(count):
            found[b, i] = found[b, most - count + i]


@compiled()
def _first_not_below(by, by_position, low, high, category, position):
    while low < high:
        middle = (low + high) // 2
        if by[middle] < category or (by[middle] == category and by_position[middle] < position):
            low = middle + 1
        else:
            high = middle
    return low
