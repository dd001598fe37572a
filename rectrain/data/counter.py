"""How often each number of a column occurs."""

import pyarrow as pa
import pyarrow.compute as pc

_MERGE_ROWS = 1_000_000


class NumberCounter:
    """Counts distinct numbers of many blocks; memory follows the distinct numbers, not the rows."""

    def __init__(self):
        schema = pa.schema({"value": pa.float64(), "count": pa.int64()})
        self._merged = schema.empty_table()
        self._pending: list[pa.Table] = []
        self._num_pending = 0

    def add(self, values: pa.Array):
        """float64 (N,); nulls do not count."""
        counted = pc.value_counts(values.drop_null())
        columns = [counted.field("values"), counted.field("counts")]
        self.absorb(pa.table(columns, schema=self._merged.schema))

    def absorb(self, counts: pa.Table):
        """The counts of another counter besides."""
        self._pending.append(counts)
        self._num_pending += counts.num_rows
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
