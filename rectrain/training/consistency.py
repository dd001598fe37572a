"""Labels that contradict each other, such as a conversion without a click."""

import numpy as np
import pyarrow.parquet as pq

from rectrain.data.manifest import Prepared
from rectrain.data.shards import to_matrix
from rectrain.data.split import SPLITS
from rectrain.errors import InputError
from rectrain.tasks import Task


def check_consistent(prepared: Prepared, tasks: list[Task]):
    """
    Raises:
        InputError: in some rows the label of a task is 1 where the label that it is given is 0.
    """
    for task in tasks:
        if task.given is not None and not task.is_number:
            counts = {split: _num_inconsistent(prepared, split, task) for split in SPLITS}
            if any(counts.values()):
                raise _inconsistent(prepared, task, counts)


def _num_inconsistent(prepared: Prepared, split: str, task: Task) -> int:
    count = 0
    for path in prepared.shards(split):
        shard = pq.ParquetFile(path)
        for i in range(shard.num_row_groups):
            table = shard.read_row_group(i, columns=["labels"])
            labels = to_matrix(table["labels"].combine_chunks(), table.schema.field("labels"))
            count += int(np.count_nonzero((labels[:, task.column] == 1) & (labels[:, task.given] == 0)))
    return count


def _inconsistent(prepared: Prepared, task: Task, counts: dict[str, int]) -> InputError:
    assert task.given is not None
    given = prepared.schema.labels[task.given]
    where = ", ".join(f"{count:,} in {split}" for split, count in counts.items() if count)
    return InputError(
        f"task {task.name!r}: in {sum(counts.values()):,} rows {task.label} is 1 where {given} is 0 ({where}), though "
        f"task.tasks.{task.name}.given={given}. Mend the labels, or leave these rows out with "
        "task.on_inconsistent=drop."
    )
