"""Raw named columns -> the packed batch of a model, as a TensorFlow graph: what rectrain/data does while it prepares.

A list is string (B, M), padded with blanks, or (B, 1) of texts with the separator of the raw files.

Shape letters: B batch, F features, M cells, T steps.
"""

from collections.abc import Collection

import numpy as np
import tensorflow as tf

from rectrain.config import DataConfig
from rectrain.data.plan import Features
from rectrain.export import lists
from rectrain.export.columns import TEXTS, Columns
from rectrain.export.encodings import (
    Vocabularies,
    cross_ids,
    hash_ids,
    log_square_texts,
    quantile_ids,
    scaled,
    shared_hash_ids,
)
from rectrain.export.log_histories import LogHistories
from rectrain.schema import History, MultiValued, Schema


class RawBatch:
    """The graph of one model.

    Args:
        data: of the run.  features: restored; its texts are encoded alike.
        inputs: names of what the model reads.
    """

    def __init__(
        self, data: DataConfig, schema: Schema, features: Features, inputs: Collection[str], vocabularies: Vocabularies
    ):
        self._schema, self._features, self._inputs, self.vocabularies = schema, features, inputs, vocabularies
        self.columns = Columns({want.column for want in features.wants() if want.kind == "text"})
        self._parts = [self._categorical()] if "categorical" in inputs else []
        self._parts += [self._numeric()] if "numeric" in inputs else []
        self._parts += [self._multi_valued(feature) for feature in schema.multi_valued if feature.name in inputs]
        self._parts += [self._sequence(h) for h in schema.histories if not h.from_log and f"{h.name}_valid" in inputs]
        if any(h.from_log and f"{h.name}_valid" in inputs for h in schema.histories):
            self._parts.append(LogHistories(data, schema, self, inputs))

    def __call__(self, columns: dict) -> dict:
        """The tensors that the model reads."""
        batch: dict = {}
        for part in self._parts:
            batch |= part(columns)
        return {name: batch[name] for name in self._inputs}

    def ids(self, encoding: dict, texts):
        """Ids of texts of any shape, from a feature's own 0: int64."""
        return self._ids_of_alike([encoding], texts[None])[0]

    def example(self, encoding: dict) -> str:
        return self.vocabularies.example(encoding) if "file" in encoding else "a"

    def _ids_of_alike(self, encodings: list[dict], texts):
        """The same of several features whose encodings are of one kind: string (F, ...)."""
        kind, _ = _kind_of_texts(encodings[0])
        if kind == "vocabulary":
            return self.vocabularies.ids(encodings, texts)
        return (shared_hash_ids if kind == "shared_hash" else hash_ids)(encodings, texts)

    def _categorical(self):
        """All columns of `categorical`: those of one kind together, then put into their order."""
        features = [*self._schema.categorical, *self._schema.crosses]
        groups: dict[tuple, list[int]] = {}
        for place, feature in enumerate(features):
            groups.setdefault(_kind_of_column(feature.encoding), []).append(place)
        parts = [self._column_ids([features[i].encoding for i in places]) for places in groups.values()]
        order = np.argsort([place for places in groups.values() for place in places])
        offsets = np.array([feature.offset for feature in features])

        def part(columns):
            ids_FB = tf.gather(tf.concat([ids(columns) for ids in parts], axis=0), order)
            return {"categorical": tf.cast(tf.transpose(ids_FB) + offsets, tf.int32)}

        return part

    def _column_ids(self, encodings: list[dict]):
        """columns -> ids of features of one kind, int64 (F, B)."""
        if encodings[0]["type"] == "cross":
            reads = [self.columns.text(column, "a") for column in encodings[0]["columns"]]
            return lambda columns: cross_ids(encodings[0], [read(columns) for read in reads])[None]
        if encodings[0]["type"] in ("log_square", "quantile"):
            numbers = [self.columns.number(encoding["column"]) for encoding in encodings]
            encode = self._quantile_ids if encodings[0]["type"] == "quantile" else self._log_square_ids
            return lambda columns: encode(encodings, tf.stack([read(columns) for read in numbers]))
        texts = [self.columns.text(encoding["column"], self.example(encoding)) for encoding in encodings]
        return lambda columns: self._ids_of_alike(encodings, tf.stack([read(columns) for read in texts]))

    def _quantile_ids(self, encodings: list[dict], x):
        return quantile_ids(encodings[0], x)

    def _log_square_ids(self, encodings: list[dict], x):
        return self._ids_of_alike(encodings, log_square_texts(x))

    def _numeric(self):
        read = [(self.columns.number(f.encoding["column"]), f.encoding) for f in self._schema.numeric]
        return lambda columns: {"numeric": tf.stack([scaled(e, number(columns)) for number, e in read], axis=1)}

    def _multi_valued(self, feature: MultiValued):
        """The first values of each list that are not blank."""
        column, separator = feature.encoding["column"], feature.encoding["separator"]
        valid_name, width, padding = self._features.ragged[feature.name]
        self.columns.add(column, TEXTS, self.example(feature.encoding))

        def part(columns):
            values, _ = lists.cut(columns[column], separator)
            places, valid = lists.first_where(values != "", width)
            rows = feature.offset + self.ids(feature.encoding, lists.taken(values, places, valid, ""))
            rows = tf.cast(tf.where(valid, rows, padding), tf.int32)
            return {
                feature.name: lists.widened(rows, width, padding),
                valid_name: lists.widened(valid, width, False),
            }

        return part

    def _sequence(self, history: History):
        """A ready-made history of list columns: the newest values."""
        owners = {feature.name: feature for feature in self._schema.categorical}
        read = list(zip(history.steps, self._features.sequences[history.name], strict=True))
        for step, sequence in read:
            self.columns.add(sequence.name, TEXTS, self.example(owners[step.name].encoding))

        def part(columns):
            found = [lists.cut(columns[sequence.name], sequence.separator) for _, sequence in read]
            lengths = tf.reduce_max(tf.stack([lengths for _, lengths in found]), axis=0)
            places, valid = lists.last(lengths, history.max_length)
            rows = {f"{history.name}_valid": valid}
            for (step, _), (values, _) in zip(read, found, strict=True):
                values = lists.widened_to(values, tf.reduce_max(lengths))
                ids = self.ids(owners[step.name].encoding, lists.taken(values, places, valid, ""))
                rows[f"{history.name}_{step.name}"] = tf.cast(step.offset + ids, tf.int32)
            return rows

        return part


def _kind_of_texts(encoding: dict) -> tuple[str, int]:
    """How texts become ids, and the number of buckets of a hash: features of one kind are looked up together."""
    if "file" in encoding:
        return "vocabulary", 0
    return "shared_hash" if "shift" in encoding else "hash", encoding["buckets"]


def _kind_of_column(encoding: dict) -> tuple:
    """The same of raw columns; crosses and quantiles are looked up one by one."""
    if encoding["type"] in ("cross", "quantile"):
        return encoding["type"], *encoding.get("columns", [encoding.get("column")])
    return encoding["type"] == "log_square", *_kind_of_texts(encoding)
