"""Distinct texts of a column, numbered in the order they come and counted; the hash table is never rebuilt.

A text costs its bytes and about 50 more. The kernels are compiled by numba at the first use on a machine, run without
the GIL, so that columns go through several cores at once, and never look at a text in Python.

Letters: N texts of one call, V distinct texts so far.
"""

from collections.abc import Iterator, Mapping

import numba
import numpy as np
import pyarrow as pa

from rectrain.data.compiled import compiled
from rectrain.data.string_buffers import string_buffers

BLANK, UNKNOWN = -1, -2  # instead of a number

_INT32, _INT64, _UINT64, _UINT8 = (t[::1] for t in (numba.int32, numba.int64, numba.uint64, numba.uint8))
# Arrow's memory
_OFFSETS, _BYTES, _WEIGHTS = (
    numba.types.Array(t, 1, "C", readonly=True) for t in (numba.int32, numba.uint8, numba.int64)
)
_SIZE = numba.int64

_PIECE_BYTES = 1 << 30  # of texts of a saved table that are looked up at a time; Arrow's string holds 2 GiB

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_NUMBER, _TAG = np.uint64(0x00000000FFFFFFFF), np.uint64(0xFFFFFFFF00000000)  # the two halves of a slot


# One function in one piece: what numba calls, and much of what it inlines, counts references of every array it is
# given, which took longer than the work itself (29 ns a text instead of 13).
@compiled(
    numba.types.UniTuple(_SIZE, 2)(
        _OFFSETS, _BYTES, _WEIGHTS, _SIZE, _SIZE, numba.boolean, _UINT64, _UINT64, _INT64, _UINT8, _INT64, _INT32
    )
)
def _walk(offsets, data, weights, first, num_values, adds, slots, hashes, ends, arena, counts, numbers):
    """Looks up the texts from `first` on; with `adds` new ones are numbered and all are counted.

    Stops where a new text finds no room. The hash differs for all texts of one size up to 8 bytes, as each of its steps
    can be undone; of longer ones the bytes are compared.

    Returns:
        (texts done, V).
    """
    mask = np.uint64(len(slots) - 1)
    for i in range(first, len(numbers)):
        start, stop = np.int64(offsets[i]), np.int64(offsets[i + 1])
        size = stop - start
        if size == 0:
            numbers[i] = BLANK
            continue
        h = np.uint64(size)
        at = start
        while at < stop:
            word, shift = np.uint64(0), np.uint64(0)
            for j in range(at, min(at + 8, stop)):
                word |= np.uint64(data[j]) << shift
                shift += np.uint64(8)
            h ^= word
            h = (h ^ (h >> np.uint64(32))) * _MULTIPLIER
            h ^= h >> np.uint64(29)
            at += 8
        tag = (h >> np.uint64(40) << np.uint64(8) | np.uint64(min(size, 255))) << np.uint64(32)  # never 0
        slot = h & mask
        number = np.int64(UNKNOWN)
        while number == UNKNOWN and slots[slot] != 0:  # linear probing
            held = slots[slot]
            if held & _TAG == tag:
                candidate = np.int64(held & _NUMBER)
                if hashes[candidate] == h:
                    begin = ends[candidate]
                    same = size <= 8 or ends[candidate + 1] - begin == size
                    j = 0
                    while size > 8 and same and j < size:
                        same = arena[begin + j] == data[start + j]
                        j += 1
                    if same:
                        number = candidate
            slot = (slot + np.uint64(1)) & mask
        if number == UNKNOWN and adds:
            begin = ends[num_values]
            if 2 * num_values >= len(slots) - 2 or begin + size > len(arena):
                return i, num_values
            number = num_values
            slots[slot] = tag | np.uint64(number)
            hashes[number] = h
            for j in range(size):
                arena[begin + j] = data[start + j]
            num_values += 1
            ends[num_values] = begin + size
        if adds:
            counts[number] += weights[i]
        numbers[i] = number
    return len(numbers), num_values


@compiled(numba.void(_UINT64, _INT64, _SIZE, _UINT64))
def _refill(hashes, ends, num_values, slots):
    mask = np.uint64(len(slots) - 1)
    for number in range(num_values):
        h, size = hashes[number], ends[number + 1] - ends[number]
        slot = h & mask
        while slots[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        tag = (h >> np.uint64(40) << np.uint64(8) | np.uint64(min(size, 255))) << np.uint64(32)
        slots[slot] = tag | np.uint64(number)


class ValueTable:
    """Numbers distinct texts from 0 in the order of their first occurrence; blank and null texts have none."""

    def __init__(self):
        self.num_values = 0
        self._slots = np.zeros(64, np.uint64)  # tag and number of the text that is there, at most half of them taken
        self._hashes = np.zeros(32, np.uint64)
        self._counts = np.zeros(32, np.int64)
        self._ends = np.zeros(33, np.int64)  # text v is arena[ends[v] : ends[v + 1]]
        self._arena = np.zeros(1024, np.uint8)

    def add(self, text: pa.Array, counts: np.ndarray | None = None):
        """Counts texts, string (N,), each once or `counts` times, int64 (N,)."""
        offsets, data = string_buffers(text)
        weights = np.ones(len(text), np.int64) if counts is None else counts
        numbers = np.empty(len(text), np.int32)
        done = 0
        while done < len(text):
            done, self.num_values = _walk(offsets, data, weights, done, self.num_values, True, *self._table(), numbers)
            if done < len(text):
                self._grow(int(offsets[done + 1] - offsets[done]))

    def find(self, text: pa.Array) -> np.ndarray:
        """int32 (N,): the number of each text, BLANK or UNKNOWN."""
        offsets, data = string_buffers(text)
        numbers = np.empty(len(text), np.int32)
        _walk(offsets, data, np.zeros(0, np.int64), 0, self.num_values, False, *self._table(), numbers)
        return numbers

    def _table(self):
        return self._slots, self._hashes, self._ends, self._arena, self._counts

    def values(self) -> pa.Array:
        """string (V,), large_string above 2 GiB."""
        ends, arena = self._ends[: self.num_values + 1], self._arena[: self._ends[self.num_values]]
        values = pa.Array.from_buffers(pa.large_string(), self.num_values, [None, *map(pa.py_buffer, (ends, arena))])
        return values if len(arena) >= 2**31 else values.cast(pa.string())

    def counts(self) -> np.ndarray:
        """int64 (V,)."""
        return self._counts[: self.num_values]

    def state(self) -> dict[str, np.ndarray]:
        """Texts and counts as plain arrays; text v is bytes[ends[v] : ends[v + 1]]."""
        ends = self._ends[: self.num_values + 1]
        return {"ends": ends, "bytes": self._arena[: ends[-1]], "counts": self.counts()}

    def absorb(self, state: Mapping[str, np.ndarray]):
        """Counts the texts of another table besides."""
        for texts, rows in saved_texts(state):
            self.add(texts, state["counts"][rows])

    def _grow(self, size: int):
        """Room for twice as many texts, or for twice as many bytes and one text of `size`."""
        if 2 * self.num_values >= len(self._slots) - 2:
            self._slots = np.zeros(2 * len(self._slots), np.uint64)
            _refill(self._hashes, self._ends, self.num_values, self._slots)
            self._hashes, self._counts = (_doubled(a, len(a)) for a in (self._hashes, self._counts))
            self._ends = _doubled(self._ends, len(self._ends) - 1)
        else:
            self._arena = _doubled(self._arena, len(self._arena) + size)


def _doubled(array: np.ndarray, more: int) -> np.ndarray:
    return np.concatenate([array, np.zeros(more, array.dtype)])


def saved_texts(state: Mapping[str, np.ndarray]) -> Iterator[tuple[pa.Array, slice]]:
    """The texts of a table's state in pieces, string (M,), and which of its V texts they are."""
    ends, data = state["ends"], state["bytes"]
    first, num_values = 0, len(ends) - 1
    while first < num_values:
        last = max(int(np.searchsorted(ends, ends[first] + _PIECE_BYTES, side="right")) - 1, first + 1)
        offsets = (ends[first : last + 1] - ends[first]).astype(np.int32)
        piece = data[ends[first] : ends[last]]
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(piece)]
        yield pa.Array.from_buffers(pa.string(), last - first, buffers), slice(first, last)
        first = last
