"""Which of the packed columns belong to a row's item, and how other items take their place.

Letters: N rows, M values of a multi-valued feature in all rows together, T its max_length.
"""

from typing import Any

import numpy as np

from rectrain.data.plan import Features

Packed = dict[str, Any]  # name -> array (N, ...), or (values (M,), lengths (N,)) of a multi-valued feature


class ItemColumns:
    """The columns of some features.

    Args:
        names: features, each categorical, numeric or multi-valued.
    """

    def __init__(self, features: Features, names: list[str]):
        kinds: dict[str, list] = {"categorical": features.categorical, "numeric": features.numeric}
        self._single = [
            (kind, column) for kind, made in kinds.items() for column, f in enumerate(made) if f.name in names
        ]
        self._widths = {f.name: f.max_length for f in features.multi_valued if f.name in names}

    def of(self, packed: Packed) -> dict[str, np.ndarray]:
        """What each row says of its item, as arrays (N, ...)."""
        found = {f"{kind}/{column}": packed[kind][:, column] for kind, column in self._single}
        for name, width in self._widths.items():
            values, lengths = packed[name]
            padded = np.zeros((len(lengths), width), values.dtype)
            padded[np.arange(width) < lengths[:, None]] = values
            found |= {f"{name}/values": padded, f"{name}/lengths": lengths}
        return found

    def put(self, packed: Packed, rows: np.ndarray, items: dict[str, np.ndarray]):
        """Lets the rows where bool (N,) is True say of their item what `items` does, in the order of the rows."""
        for kind, column in self._single:
            packed[kind][rows, column] = items[f"{kind}/{column}"]
        for name, width in self._widths.items():
            lengths = items[f"{name}/lengths"]
            values = items[f"{name}/values"][np.arange(width) < lengths[:, None]]
            packed[name] = _merged(packed[name], rows, (values, lengths))


def repeated(packed: Packed, copies: int) -> Packed:
    """Each row `copies` times, one after the other."""
    return {name: _repeated(column, copies) for name, column in packed.items()}


def _repeated(column, copies: int):
    if not isinstance(column, tuple):
        return np.repeat(column, copies, axis=0)
    values, lengths = column
    starts, lengths_now = np.repeat(np.cumsum(lengths) - lengths, copies), np.repeat(lengths, copies)
    begins = np.cumsum(lengths_now) - lengths_now
    return values[np.arange(lengths_now.sum()) + np.repeat(starts - begins, lengths_now)], lengths_now


def _merged(column, rows: np.ndarray, others):
    """Ragged values with those of some rows replaced."""
    (old, old_lengths), (new, new_lengths) = column, others
    lengths = old_lengths.copy()
    lengths[rows] = new_lengths
    merged, replaced = np.empty(lengths.sum(), old.dtype), np.repeat(rows, lengths)
    merged[replaced] = new
    merged[~replaced] = old[~np.repeat(rows, old_lengths)]
    return merged, lengths
