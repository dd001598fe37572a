"""Which rows of a block a condition of the config holds for."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rectrain.config import Condition
from rectrain.data.blocks import Block
from rectrain.data.columns import numbers, texts


def holds(block: Block, condition: Condition | None, key: str) -> np.ndarray:
    """bool (N,): a missing value is never enough, and none of the texts; without a condition all rows."""
    if condition is None:
        return np.ones(block.num_rows, bool)
    if condition.at_least is not None:
        found = pc.greater_equal(numbers(block, condition.column, key), condition.at_least)
    else:
        found = pc.is_in(texts(block, condition.column), pa.array(condition.one_of, pa.string()))
    return found.fill_null(False).to_numpy(zero_copy_only=False)
