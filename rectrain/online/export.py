"""The weights that are not zero, by feature and value: what a scorer needs of a linear model, and no more.

Letters: V distinct values of a feature, C coordinates.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from rectrain.config import DataConfig
from rectrain.data import reading
from rectrain.data.bad_rows import BadRows
from rectrain.data.columns import kinds
from rectrain.data.features import Quantile
from rectrain.data.sources import find_files
from rectrain.data.values import ValueTable
from rectrain.data.vocab import read_values
from rectrain.online.features import HashedFeatures
from rectrain.schema import Categorical, MultiValued, Schema

BIAS = "(bias)"
_SCHEMA = pa.schema(
    [("feature", pa.string()), ("value", pa.string()), ("coordinate", pa.int64()), ("weight", pa.float32())]
)
Named = tuple[str, pa.Array, np.ndarray]  # a feature, values string (V,), null where missing, and their coordinates


def nonzero_weights(weights: np.ndarray, schema: Schema, named: Iterator[Named]) -> pa.Table:
    """feature, value, coordinate and weight of each value whose weight is not 0, numbers and the bias too.

    Values of several features may share a coordinate of a hashed table. A coordinate that no value names, as the files
    do not hold it, comes without feature and value.

    Args:
        weights: float32 (C + 1,), the bias last.
    """
    parts, unnamed = [], weights != 0
    alone = [*(f.name for f in schema.numeric), BIAS]  # the last coordinates
    first = len(weights) - len(alone)
    single = [(name, pa.nulls(1, pa.string()), np.array([first + k])) for k, name in enumerate(alone)]
    for feature, values, ids in (*named, *single):
        kept = weights[ids] != 0
        parts.append(_part([feature] * int(kept.sum()), values.filter(pa.array(kept)), ids[kept], weights))
        unnamed[ids] = False
    left = np.flatnonzero(unnamed)
    parts.append(_part([None] * len(left), pa.nulls(len(left), pa.string()), left, weights))
    return pa.concat_tables(parts)


def _part(features: list, values: pa.Array, ids: np.ndarray, weights: np.ndarray) -> pa.Table:
    columns = [pa.array(features, pa.string()), values, pa.array(ids, pa.int64()), pa.array(weights[ids])]
    return pa.table(columns, schema=_SCHEMA)


def named_by_files(data: DataConfig, buckets: int) -> Iterator[Named]:
    """The values of raw files; one pass, memory follows the vocabularies."""
    features = HashedFeatures(data, buckets)
    features.schema()
    texts = [f for f in (*features.categorical, *features.multi_valued) if not isinstance(f, Quantile)]
    tables = {feature.name: ValueTable() for feature in texts}
    skips = {"bad_rows": BadRows(data.max_bad_rows, Path(os.devnull))} if data.max_bad_rows else {}
    for path in find_files(data).files["all"]:
        for block in reading.read(path, kinds(features.wants()), data.format, **skips):
            for feature in texts:
                tables[feature.name].add(feature.texts(block))
    for feature in texts:
        values = pa.concat_arrays([tables[feature.name].values(), pa.nulls(1, pa.string())])
        yield feature.name, values, feature.encoder.ids(values)


def named_by_vocabulary(schema: Schema, folder: Path) -> Iterator[Named]:
    """The values of the vocabularies in `folder`; hashed features have none."""
    features: list[Categorical | MultiValued] = [*schema.categorical, *schema.multi_valued]
    for feature in features:
        if "file" in feature.encoding:
            kept = read_values(folder / feature.encoding["file"]).combine_chunks()
            values = pa.concat_arrays([pa.nulls(1, pa.string()), pa.array(["(out of vocabulary)"]), kept])
            yield feature.name, values, feature.offset + np.arange(len(values))
