"""The vectors of a feature's values, for tools that look for nearest neighbours."""

from pathlib import Path

import keras
import numpy as np
import pyarrow as pa

from rectrain.data.texts import MISSING, UNKNOWN
from rectrain.data.vocab import read_values
from rectrain.errors import InputError, did_you_mean
from rectrain.schema import Categorical, MultiValued, Schema


def vectors(model: keras.Model, schema: Schema, name: str, folder: Path) -> pa.Table:
    """value (string) and vector (list of D float32), in the order of the ids.

    The first two values are "(missing)" and "(not in the vocabulary)"; of a hashed feature values are the numbers of
    the buckets.

    Args:
        folder: where the vocabularies are.
    Raises:
        InputError: the model has no such feature, or no vectors.
    """
    feature = _feature(schema, name)
    layers = [layer for layer in model.layers if hasattr(layer, "table") and hasattr(layer, "width")]
    if not layers:
        raise InputError(f"export.embeddings: model={model.name} has no embeddings. Set export.embeddings=[].")
    rows = slice(feature.offset, feature.offset + feature.num_rows)
    found = layers[0].table.numpy()[rows, : layers[0].width]
    values = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(found).ravel()), found.shape[1])
    return pa.table({"value": _values(feature, folder), "vector": values})


def _feature(schema: Schema, name: str) -> Categorical | MultiValued:
    features: list[Categorical | MultiValued] = [*schema.categorical, *schema.multi_valued]
    known = {feature.name: feature for feature in features}
    if name not in known:
        raise InputError(f"export.embeddings: {name!r} is no feature with values.{did_you_mean(name, known)}")
    return known[name]


def _values(feature: Categorical | MultiValued, folder: Path) -> pa.Array:
    if "file" in feature.encoding:
        return pa.concat_arrays([pa.array([MISSING, UNKNOWN]), *read_values(folder / feature.encoding["file"]).chunks])
    return pa.array([MISSING, *map(str, range(1, feature.num_rows))])
