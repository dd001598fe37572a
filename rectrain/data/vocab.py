"""Text -> ids, by a fitted vocabulary or by hashing. Blank text is null by the time it gets here.

    vocabulary     0 missing, 1 out of vocabulary, 2 .. by falling count, ties by the bytes of the value
    hash buckets   0 missing, 1 + Fingerprint64(text) % buckets

Both classes have `observe(text)` (training rows), `finish(folder)`, `num_rows`, `encoding` and `ids(text)`.
"""

from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rectrain.console import import_tensorflow
from rectrain.errors import InputError

_MERGE_ROWS = 1_000_000


class ValueCounter:
    """Counts distinct values of many blocks; memory follows the distinct values, not the rows."""

    def __init__(self, kind: pa.DataType):
        schema = pa.schema({"value": kind, "count": pa.int64()})
        self._merged = schema.empty_table()
        self._pending: list[pa.Table] = []
        self._num_pending = 0

    def add(self, values: pa.Array):
        counted = pc.value_counts(values.drop_null())
        self.add_counts(counted.field("values"), counted.field("counts"))

    def add_counts(self, values: pa.Array, counts: pa.Array):
        """Values may repeat."""
        self._pending.append(pa.table([values, counts], schema=self._merged.schema))
        self._num_pending += len(values)
        if self._num_pending > max(_MERGE_ROWS, self._merged.num_rows):
            self._merge()

    def _merge(self):
        joined = pa.concat_tables([self._merged, *self._pending])
        summed = joined.group_by("value").aggregate([("count", "sum")])
        self._merged = summed.rename_columns({"count_sum": "count"}).select(["value", "count"])
        self._pending, self._num_pending = [], 0

    def counts(self) -> pa.Table:
        """value, count (int64), in no particular order."""
        self._merge()
        return self._merged


class Vocabulary:
    """The values of a column that occur at least min_count times in the training split."""

    def __init__(self, column: str, key: str, min_count: int):
        self._column, self._key, self._min_count = column, key, min_count
        self._counter = ValueCounter(pa.string())
        self._values = pa.array([], pa.string())

    def observe(self, text: pa.Array):
        self._counter.add(text)

    def observe_counts(self, text: pa.Array, counts: pa.Array):
        self._counter.add_counts(text, counts)

    def finish(self, folder: Path):
        """Writes value and count in the order of the ids."""
        counts = self._counter.counts()
        del self._counter
        kept = counts.filter(pc.greater_equal(counts["count"], self._min_count))
        if kept.num_rows == 0:
            raise self._empty(counts.num_rows)
        table = kept.sort_by([("count", "descending"), ("value", "ascending")])
        self._values = table["value"].combine_chunks()
        (folder / "vocab").mkdir(exist_ok=True)
        pq.write_table(table, folder / self._file)

    def _empty(self, num_values):
        if num_values == 0:
            why, key = "every row of the training split is blank", f"{self._key}.columns"
        else:
            why = f"none of its {num_values:,} values in the training split occurs {self._min_count} times"
            key = f"{self._key}.min_count"
        return InputError(f"column {self._column!r} has an empty vocabulary: {why}. Change {key}.")

    @property
    def _file(self):
        return f"vocab/{quote(self._column, safe='')}.parquet"

    @property
    def num_rows(self) -> int:
        return 2 + len(self._values)

    @property
    def encoding(self) -> dict:
        return {"type": "vocabulary", "column": self._column, "file": self._file, "min_count": self._min_count}

    def ids(self, text: pa.Array) -> np.ndarray:
        """int32 (N,).

        The vocabulary is looked up among the distinct texts, not the other way round: the hash table that Arrow makes
        at each call is then the small one, five times as fast with a million values.
        """
        encoded = text.dictionary_encode()
        ids = np.ones(len(encoded.dictionary) + 1, np.int32)
        ids[-1] = 0
        found = pc.index_in(self._values, value_set=encoded.dictionary)
        ids[found.drop_null().to_numpy(zero_copy_only=False)] = np.flatnonzero(~is_null(found)) + 2
        return spread(ids, encoded)


class HashBuckets:
    """No vocabulary: nothing to fit."""

    def __init__(self, column: str, buckets: int):
        self._buckets, self.num_rows = buckets, 1 + buckets
        self.encoding = {"type": "hash", "column": column, "buckets": buckets}

    def observe(self, text: pa.Array):
        pass

    def finish(self, folder: Path):
        pass

    def ids(self, text: pa.Array) -> np.ndarray:
        """int64 (N,)."""
        return hash_bucket(text, self._buckets)


def hash_bucket(text: pa.Array, buckets: int) -> np.ndarray:
    """int64 (N,): 0 for null, else 1 + FarmHash Fingerprint64 % buckets, as `tf.strings.to_hash_bucket_fast`."""
    encoded = text.dictionary_encode()
    ids = np.zeros(len(encoded.dictionary) + 1, np.int64)
    if len(encoded.dictionary):
        import_tensorflow()  # takes seconds, and few datasets hash
        import tensorflow as tf

        ids[:-1] = (
            1 + tf.strings.to_hash_bucket_fast(encoded.dictionary.to_numpy(zero_copy_only=False), buckets).numpy()
        )
    return spread(ids, encoded)


def spread(ids: np.ndarray, encoded: pa.DictionaryArray) -> np.ndarray:
    """ids (V + 1,) of the V dictionary entries and of null -> ids (N,) of the rows."""
    return ids[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]


def is_null(array: pa.Array) -> np.ndarray:
    """bool (N,)."""
    return array.is_null().to_numpy(zero_copy_only=False)
