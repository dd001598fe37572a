"""What a split has to know of all rows before it can assign one, file by file and put together.

order      the number of rows             time, by fractions    how often each moment occurs
random     the number of rows before      last                  each user's last two rows
           a file, where files are read one by one
"""

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from rectrain.config import DataConfig
from rectrain.data import split, targets
from rectrain.data.blocks import Block
from rectrain.data.columns import select
from rectrain.data.counter import NumberCounter
from rectrain.data.split import Assign

IsRow = Callable[[Block], np.ndarray]
Known = Mapping[str, np.ndarray]


class Times:
    """Of a split by fractions of time."""

    title = "counting times"

    def __init__(self, data: DataConfig):
        self._data, self._counter = data, NumberCounter()

    def add(self, block: Block, first: int, is_row: IsRow):
        """first: index of the block's first row."""
        assert self._data.time is not None
        self._counter.add(pa.array(targets.times(block, self._data.time)))

    def state(self) -> Known:
        counts = self._counter.counts()
        return {"value": counts["value"].to_numpy(), "count": counts["count"].to_numpy()}

    def absorb(self, state: Known, first: int):
        """What was found in later rows. first: how many rows are before them."""
        self._counter.absorb(pa.table({"value": state["value"], "count": state["count"]}))

    def known(self) -> Known:
        return {"moments": split.first_moments(self._data, self._counter.counts())}


class Lasts:
    """Of a split by users' last rows."""

    title = "finding last rows"

    def __init__(self, data: DataConfig):
        from rectrain.data.last_rows import LastRows  # loads numba

        self._data, self._last = data, LastRows()

    def add(self, block: Block, first: int, is_row: IsRow):
        assert self._data.time is not None
        assert self._data.split.column is not None
        rows = np.flatnonzero(is_row(block))
        if rows.size:
            part = select(block, rows)
            users = split.keys(part, self._data.split.column)
            self._last.add(users, targets.times(part, self._data.time), first + rows)

    def state(self) -> Known:
        return self._last.state()

    def absorb(self, state: Known, first: int):
        self._last.absorb(state, first)

    def known(self) -> Known:
        last, before = self._last.found()
        return {"last": last, "before": before}


def counter(data: DataConfig) -> Times | Lasts | None:
    """What looks at rows before the split is known; None where none does."""
    if data.split.by == "last":
        return Lasts(data)
    return Times(data) if data.split.by == "time" and data.split.valid_from is None else None


def are_needed(data: DataConfig) -> bool:
    """Whether a file's rows can be assigned only when something is known of other files."""
    return data.split.by in ("order", "random", "last") or (data.split.by == "time" and data.split.valid_from is None)


def assign(data: DataConfig, known: Known) -> Assign:
    """known: by order `rows`, those of each file; else of a counter."""
    match data.split.by:
        case "files":
            return split.by_files
        case "order":
            return split.by_order(data.split, int(known["rows"].sum()))
        case "random":
            return split.by_random(data.split)
        case "hash":
            return split.by_hash(data.split)
        case "last":
            return split.by_last(known["last"], known["before"])
        case "time" if data.split.valid_from is None:
            return split.by_time(data, known["moments"])
        case "time":
            return split.by_moments(data)
    raise AssertionError(data.split.by)
