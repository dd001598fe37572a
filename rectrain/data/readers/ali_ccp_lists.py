"""Feature lists of Ali-CCP as columns: features joined by SOH, each field STX id ETX value.

Letters: N rows, M features of all of them.
"""

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

SOH, STX, ETX = "\x01", "\x02", "\x03"
FIELD_BYTES = 8  # of a field's name that are compared; those that can be asked for are shorter
_WHOLE = re.compile(f"[^{STX}{ETX}]+{STX}[^{STX}{ETX}]+{ETX}[^{STX}{ETX}]*")
_MASKS = np.array([2 ** (8 * size) - 1 for size in range(FIELD_BYTES + 1)], np.uint64)  # by size


class MalformedFeatureError(ValueError):
    """A feature that is not field STX id ETX value, and the index of its row."""

    def __init__(self, row: int, feature: str):
        super().__init__(feature)
        self.row, self.feature = row, feature


@dataclass(frozen=True)
class _Features:
    """All features, row by row; a feature is data[start:middle] STX data[middle + 1:stop] ETX ... before data[end]."""

    data: np.ndarray  # uint8
    rows: np.ndarray  # int (M,)
    starts: np.ndarray  # int (M,)
    middles: np.ndarray  # int (M,)
    stops: np.ndarray  # int (M,)

    @staticmethod
    def cut(lists: pa.Array) -> "_Features":
        """Of string (N,), without nulls.

        Raises:
            MalformedFeatureError
        """
        _, offsets, data = lists.buffers()
        edges = np.frombuffer(offsets, np.int32)[lists.offset : lists.offset + len(lists) + 1]
        data = np.frombuffer(data or b"", np.uint8)[edges[0] : edges[-1]]
        edges = edges - edges[0]
        filled = np.diff(edges) > 0
        cuts, middles, stops = (np.flatnonzero(data == ord(mark)) for mark in (SOH, STX, ETX))
        starts = np.sort(np.concatenate([edges[:-1][filled], cuts + 1]))
        ends = np.sort(np.concatenate([edges[1:][filled], cuts]))
        if not (len(middles) == len(stops) == len(starts) and _in_turn(starts, middles, stops, ends)):
            raise _malformed(lists)
        return _Features(data, np.searchsorted(edges, starts, side="right") - 1, starts, middles, stops)

    def fields(self) -> np.ndarray:
        """The code of each feature's field, uint64 (M,)."""
        padded = np.append(self.data, np.zeros(FIELD_BYTES, np.uint8))
        words = np.lib.stride_tricks.sliding_window_view(padded, FIELD_BYTES)[self.starts].view("<u8").ravel()
        return words & _MASKS[np.minimum(self.middles - self.starts, FIELD_BYTES)]

    def ids(self) -> pa.Array:
        """string (M,)."""
        between = np.stack([self.middles + 1, self.stops], axis=1)
        edges = between.astype(np.int32).ravel()  # cut data into id, what is no id, id, ...
        pieces = pa.StringArray.from_buffers(max(edges.size - 1, 0), pa.py_buffer(edges), pa.py_buffer(self.data))
        return pieces.take(pa.array(np.arange(0, len(pieces), 2)))


def _in_turn(starts: np.ndarray, middles: np.ndarray, stops: np.ndarray, ends: np.ndarray) -> bool:
    """Each feature has one STX and, behind it, one ETX, with at least a byte before each."""
    return bool(((starts < middles) & (middles + 1 < stops) & (stops < ends)).all())


def _malformed(lists: pa.Array) -> MalformedFeatureError:
    """Of the first feature at fault."""
    for row, features in enumerate(lists.to_pylist()):
        for feature in features.split(SOH) if features else ():
            if not _WHOLE.fullmatch(feature):
                return MalformedFeatureError(row, feature)
    raise AssertionError("features are whole, but refused")


def columns(lists: pa.Array, kinds: dict[str, str]) -> dict[str, pa.Array]:
    """The ids that rows have of some fields; values and other fields are passed over.

    Args:
        lists: string (N,); null: no features.
        kinds: field -> "list": list<string> (N,) of all ids; else string (N,), the first id, null where there is none.
    Raises:
        MalformedFeatureError
    """
    features = _Features.cut(lists.fill_null(""))
    fields, ids = features.fields(), features.ids()
    found = {}
    for field, kind in kinds.items():
        at = np.flatnonzero(fields == _code(field))
        bounds = np.searchsorted(features.rows[at], np.arange(len(lists) + 1))
        values = ids.take(pa.array(at))
        found[field] = _lists(values, bounds) if kind == "list" else _firsts(values, bounds)
    return found


def _lists(values: pa.Array, bounds: np.ndarray) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), values)


def _firsts(values: pa.Array, bounds: np.ndarray) -> pa.Array:
    return values.take(pa.array(bounds[:-1], mask=bounds[:-1] == bounds[1:]))


def _code(field: str) -> np.uint64:
    name = field.encode()
    assert len(name) < FIELD_BYTES
    return np.uint64(int.from_bytes(name, "little"))
