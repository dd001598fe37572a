"""How often the value of each table row occurs in the training split."""

import numpy as np
import pyarrow.parquet as pq

from rectrain.data.manifest import Prepared


def row_occurrences(prepared: Prepared) -> np.ndarray:
    """float32 (rows of the fused table, crosses too), above 0.

    Counted for values of vocabularies; all others (missing and unknown ones, hash buckets, quantiles, crosses, time
    gaps) get the mean of their feature: training rows / rows of its table.
    """
    schema, num_rows = prepared.schema, max(prepared.rows("train"), 1)
    occurrences = np.full(schema.num_linear_rows, num_rows, np.float32)
    for table in (*schema.tables, *schema.crosses):
        rows = occurrences[table.offset : table.offset + table.num_rows]
        rows[:] = max(num_rows / table.num_rows, 1)
        if "file" in table.encoding:
            counts = pq.read_table(prepared.folder / table.encoding["file"], columns=["count"])["count"]
            rows[2:] = counts.to_numpy()
    return occurrences
