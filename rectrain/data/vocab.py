"""Text -> ids, by a fitted vocabulary or by hashing. Blank text is missing, as null is.

    vocabulary     0 missing, 1 out of vocabulary, 2 .. by falling count, ties by the bytes of the value
    hash buckets   0 missing, 1 + Fingerprint64(text) % buckets
    shared hash    one range of buckets for all columns

The classes have `observe(text)` (training rows), `finish(folder)`, `restore(folder)` (instead of these two, what an
earlier fit wrote), `num_rows`, `encoding` and `ids(text)`; and, as those of statistics.py, `begin_file`, `state` and
`absorb`.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rectrain.errors import InputError

_LONGEST_NAME = 200


class Vocabulary:
    """The values of a column that occur at least min_count times in the training split."""

    def __init__(self, column: str, key: str, min_count: int):
        self._column, self._key, self._min_count = column, key, min_count
        self._num_kept = 0
        self._ids = np.zeros(0, np.int32)  # of each text of the table, then that of UNKNOWN and of BLANK

    @cached_property
    def _table(self):
        from rectrain.data.values import ValueTable  # loads numba, which takes a third of a second

        return ValueTable()

    def observe(self, text: pa.Array, counts: np.ndarray | None = None):
        """string (N,); each stands for one row, or for `counts` rows, int64 (N,)."""
        self._table.add(text, counts)

    def begin_file(self, index: int):
        """The order in which values come does not matter."""

    def state(self) -> Mapping[str, np.ndarray]:
        return self._table.state()

    def absorb(self, state: Mapping[str, np.ndarray]):
        self._table.absorb(state)

    def finish(self, folder: Path):
        """Writes value and count in the order of the ids."""
        counts = pa.array(self._table.counts())
        everything = pa.table({"number": np.arange(len(counts)), "value": self._table.values(), "count": counts})
        kept = everything.filter(pc.greater_equal(counts, self._min_count))
        if kept.num_rows == 0:
            raise self._empty(len(counts))
        table = kept.sort_by([("count", "descending"), ("value", "ascending")])
        self._num_kept = table.num_rows
        self._ids = np.append(np.ones(len(counts) + 1, np.int32), np.int32(0))
        self._ids[table["number"].to_numpy()] = np.arange(2, 2 + self._num_kept)
        (folder / "vocab").mkdir(exist_ok=True)
        pq.write_table(table.select(["value", "count"]), folder / self._file)

    def restore(self, folder: Path):
        """Raises InputError where the file is missing or damaged."""
        for chunk in read_values(folder / self._file).chunks:
            self._table.add(chunk)
        self._num_kept = self._table.num_values
        self._ids = np.concatenate([np.arange(2, 2 + self._num_kept), [1, 0]]).astype(np.int32)

    def _empty(self, num_values):
        if num_values == 0:
            why, key = "every row of the training split is blank", f"{self._key}.columns"
        else:
            why = f"none of its {num_values:,} values in the training split occurs {self._min_count} times"
            key = f"{self._key}.min_count"
        return InputError(f"column {self._column!r} has an empty vocabulary: {why}. Change {key}.")

    @property
    def _file(self):
        return f"vocab/{file_name(self._column)}.parquet"

    @property
    def num_rows(self) -> int:
        return 2 + self._num_kept

    @property
    def encoding(self) -> dict:
        return {"type": "vocabulary", "column": self._column, "file": self._file, "min_count": self._min_count}

    def ids(self, text: pa.Array) -> np.ndarray:
        """int32 (N,)."""
        return self._ids[self._table.find(text)]


class _NothingToFit:
    def begin_file(self, index: int):
        pass

    def observe(self, text: pa.Array, counts: np.ndarray | None = None):
        pass

    def state(self) -> Mapping[str, np.ndarray]:
        return {}

    def absorb(self, state: Mapping[str, np.ndarray]):
        pass

    def finish(self, folder: Path):
        pass

    def restore(self, folder: Path):
        pass


class HashBuckets(_NothingToFit):
    """No vocabulary: nothing to fit."""

    def __init__(self, column: str, buckets: int):
        self._buckets, self.num_rows = buckets, 1 + buckets
        self.encoding = {"type": "hash", "column": column, "buckets": buckets}

    def ids(self, text: pa.Array) -> np.ndarray:
        """int64 (N,)."""
        return hash_bucket(blank_as_null(text), self._buckets)


class SharedHash(_NothingToFit):
    """Hash buckets that a column shares with all others; nothing to fit, and a missing value is a value.

    The id is (Fingerprint64(text) + that of the column's name) % buckets, so that equal texts of two columns part.
    """

    def __init__(self, column: str, buckets: int):
        from rectrain.data.farmhash import fingerprints  # loads numba, which takes a third of a second

        self._fingerprints, self.num_rows = fingerprints, buckets
        shift = int(fingerprints(pa.array([column]))[0] % np.uint64(buckets))
        self._shift = np.uint64(shift)
        self.encoding = {"type": "shared_hash", "column": column, "buckets": buckets, "shift": shift}

    def ids(self, text: pa.Array) -> np.ndarray:
        """int32 (N,)."""
        buckets = np.uint64(self.num_rows)
        return ((self._fingerprints(text) % buckets + self._shift) % buckets).astype(np.int32)


def file_name(column: str) -> str:
    """What a file about a column is called: no file system takes more than 255 bytes."""
    name = quote(column, safe="")
    return (
        name
        if len(name) <= _LONGEST_NAME
        else f"{name[:_LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    )


def read_values(path: Path) -> pa.ChunkedArray:
    """string (V,), the values of a vocabulary in the order of their ids.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        values = pq.read_table(path, columns=["value"])["value"]
        if pa.types.is_large_string(values.type):  # above 2 GiB, which no piece of it is
            values = values.cast(pa.string())
        if values.type != pa.string() or values.null_count:
            raise ValueError(f"values of type {values.type}, {values.null_count:,} of them null")
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: the vocabulary is missing or damaged ({error}). Expected the file that was written together with "
            "its schema.json."
        ) from error
    return values


TextEncoder = Vocabulary | HashBuckets | SharedHash


def blank_as_null(text: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def hash_bucket(text: pa.Array, buckets: int) -> np.ndarray:
    """int64 (N,): 0 for null, else 1 + FarmHash Fingerprint64 % buckets, as `tf.strings.to_hash_bucket_fast`."""
    from rectrain.data.farmhash import fingerprints  # loads numba, which takes a third of a second

    ids = 1 + (fingerprints(text) % np.uint64(buckets)).astype(np.int64)
    return np.where(is_null(text), 0, ids) if text.null_count else ids


def spread(ids: np.ndarray, encoded: pa.DictionaryArray) -> np.ndarray:
    """ids (V + 1,) of the V dictionary entries and of null -> ids (N,) of the rows."""
    return ids[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]


def is_null(array: pa.Array) -> np.ndarray:
    """bool (N,)."""
    return array.is_null().to_numpy(zero_copy_only=False)
