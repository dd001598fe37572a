"""Raw named columns -> the packed batch of a model, as a TensorFlow graph: what rectrain/data does while it prepares.

A column of text is string (B,), blank where missing; a number float64 (B,), NaN where missing; a list of texts string
(B, M), padded with blanks, or (B, 1) of texts with the separator of the raw files. A history from a log comes as one
list for each kind of step, oldest first: history_<column>, and history_<time column>, float64, padded with NaN.

Shape letters: B batch, M cells, T steps, S steps of one history, G categories.
"""

from collections.abc import Callable, Collection

import tensorflow as tf

from rectrain.config import DataConfig
from rectrain.data.plan import Features
from rectrain.errors import InputError
from rectrain.export import histories
from rectrain.export.encodings import Cross, Vocabularies, gap_buckets, number_ids, scaled, text_ids
from rectrain.schema import HISTORY, Categorical, History, MultiValued, Schema, Step

_LIST = tf.TensorSpec((None, None), tf.string)
_NUMBERS = tf.TensorSpec((None, None), tf.float64)
_TEXT = tf.TensorSpec((None,), tf.string)
_NUMBER = tf.TensorSpec((None,), tf.float64)


class RawBatch:
    """The graph of one model.

    Args:
        data: of the run.  features: restored; its texts are encoded alike.
        inputs: names of what the model reads.
    """

    def __init__(
        self,
        data: DataConfig,
        schema: Schema,
        features: Features,
        inputs: Collection[str],
        vocabularies: Vocabularies,
    ):
        self._data, self._schema, self._features, self._inputs = data, schema, features, inputs
        self._vocabularies = vocabularies
        self._encoders: dict[str, Callable] = {}
        self.signature: dict[str, tf.TensorSpec] = {}  # of each raw column
        self.examples: dict[str, str | float] = {}  # a value of each
        self._parts = [self._categorical(), self._numeric(), *map(self._multi_valued, schema.multi_valued)]
        self._parts += [self._sequence(h) for h in schema.histories if not h.from_log and f"{h.name}_valid" in inputs]
        read = [h for h in schema.histories if h.from_log and f"{h.name}_valid" in inputs]
        if read:
            self._parts.append(self._log(read))

    @property
    def state(self) -> list:
        """Hash tables and variables of the graph, for a SavedModel to hold."""
        return list(self._encoders.values())

    def __call__(self, columns: dict) -> dict:
        """The tensors that the model reads."""
        batch: dict = {}
        for part in self._parts:
            batch |= part(columns)
        return {name: batch[name] for name in self._inputs}

    def _categorical(self):
        if "categorical" not in self._inputs:
            return lambda columns: {}
        ids = [self._ids(feature) for feature in self._schema.categorical]
        ids += [self._cross(feature) for feature in self._schema.crosses]
        return lambda columns: {"categorical": tf.stack([tf.cast(of(columns), tf.int32) for of in ids], axis=1)}

    def _ids(self, feature: Categorical):
        column, offset = feature.encoding["column"], feature.offset
        if feature.encoding["type"] in ("log_square", "quantile"):
            read, encode = self._number(column), number_ids(feature.encoding, self._vocabularies)
        else:
            encode = text_ids(feature.encoding, self._vocabularies)
            read = self._text(column, encode)
        self._encoders[feature.name] = encode
        return lambda columns: offset + encode(read(columns))

    def _cross(self, feature: Categorical):
        texts, encode = [self._text(column) for column in feature.encoding["columns"]], Cross(feature.encoding)
        return lambda columns: feature.offset + encode([text(columns) for text in texts])

    def _numeric(self):
        if "numeric" not in self._inputs:
            return lambda columns: {}
        read = [(self._number(f.encoding["column"]), f.encoding) for f in self._schema.numeric]
        return lambda columns: {"numeric": tf.stack([scaled(e, number(columns)) for number, e in read], axis=1)}

    def _multi_valued(self, feature: MultiValued):
        if feature.name not in self._inputs:
            return lambda columns: {}
        encode = self._encoders[feature.name] = text_ids(feature.encoding, self._vocabularies)
        column, separator = feature.encoding["column"], feature.encoding["separator"]
        valid_name, width, padding = self._features.ragged[feature.name]
        self._add(column, _LIST, encode)

        def part(columns):
            values, _ = histories.lists(columns[column], separator)
            kept = (values != "") & (tf.cumsum(tf.cast(values != "", tf.int32), axis=1) <= width)
            places, valid = histories.newest_where(kept, width)
            ids = histories.taken(feature.offset + encode(values), places, valid, tf.constant(padding, tf.int64))
            missing = [[0, 0], [0, width - tf.shape(ids)[1]]]
            ids, valid = tf.pad(ids, missing, constant_values=padding), tf.pad(valid, missing)
            return {
                feature.name: tf.ensure_shape(tf.cast(ids, tf.int32), (None, width)),
                valid_name: tf.ensure_shape(valid, (None, width)),
            }

        return part

    def _sequence(self, history: History):
        """A ready-made history of list columns."""
        read = []
        for step, sequence in zip(history.steps, self._features.sequences[history.name], strict=True):
            self._add(sequence.name, _LIST, self._encoders[sequence.owner.name])
            read.append((step, sequence, self._encoders[sequence.owner.name]))

        def part(columns):
            cut = [histories.lists(columns[sequence.name], sequence.separator) for _, sequence, _ in read]
            length = tf.reduce_max(tf.stack([lengths for _, lengths in cut]), axis=0)
            places, valid = histories.newest(length, history.max_length)
            found = {f"{history.name}_valid": valid}
            for (step, _, encode), (texts, _) in zip(read, cut, strict=True):
                missing = tf.maximum(tf.reduce_max(length) - tf.shape(texts)[1], 0)
                texts = tf.pad(texts, [[0, 0], [0, missing]])
                ids = step.offset + encode(histories.taken(texts, places, valid, ""))
                found[f"{history.name}_{step.name}"] = tf.cast(ids, tf.int32)
            return found

        return part

    def _log(self, read: list[History]):
        """The histories of one log, cut from the same lists."""
        config, time = self._data.history, self._data.time
        assert config is not None
        assert time is not None
        wanted = {step.name: step for h in read for step in h.steps if f"{h.name}_{step.name}" in self._inputs}
        lists = {name: self._step_list(name, step) for name, step in wanted.items() if name != "gap"}
        row_time, step_time = time.column, f"{HISTORY}_{time.column}"
        if "gap" in wanted:
            self._add(row_time, _NUMBER)
            self._add(step_time, _NUMBERS)
        matches = self._matches() if any(h.role == "hits" for h in read) else None

        def part(columns):
            ids = {name: encode(columns[column]) for name, (column, encode) in lists.items()}
            filled = [_is_filled(columns[column]) for column, _ in lists.values()]
            if "gap" in wanted:
                times = columns[step_time]
                filled.append(_is_filled(times))
                ids["gap"] = gap_buckets(columns[row_time][:, None] - times)
            lengths = histories.filled_length(tf.reduce_any(tf.stack(filled), axis=0))
            real = tf.range(tf.shape(filled[0])[1]) < lengths[:, None]
            found = {}
            for history in read:
                if history.role == "hits":
                    places, valid = histories.newest_where(real & matches(columns), history.max_length)
                else:
                    places, valid = histories.newest(lengths, history.max_length)
                found[f"{history.name}_valid"] = valid
                for name, step in wanted.items():
                    rows = step.offset + histories.taken(ids[name], places, valid, 0)
                    found[f"{history.name}_{name}"] = tf.cast(rows, tf.int32)
            return found

        return part

    def _step_list(self, name: str, step: Step) -> tuple[str, Callable]:
        """The column of a kind of step of the log, and what encodes it."""
        encode: Callable
        if step.feature is None:
            column = f"{HISTORY}_{step.encoding['column']}"
            encode = self._encoders[f"/{name}"] = text_ids(step.encoding, self._vocabularies)
        else:
            column, encode = f"{HISTORY}_{name}", self._encoders[step.feature]
        is_number = step.feature is not None and self.signature[step.feature].dtype == tf.float64
        self._add(column, _NUMBERS if is_number else _LIST, encode)
        return column, encode

    def _matches(self):
        """Whether steps have a category of their row: columns -> bool (B, T)."""
        by = self._schema.hits_by
        assert by is not None
        column, encode = f"{HISTORY}_{by}", self._encoders[by]
        self._add(column, _LIST)
        feature = next((f for f in self._schema.multi_valued if f.name == by), None)
        if feature is None:
            return lambda columns: histories.have_in_common(
                encode(columns[by])[:, None], encode(columns[column])[:, :, None]
            )
        separator = feature.encoding["separator"]

        def matches(columns):
            of_row, _ = histories.lists(columns[by], separator)
            of_steps = tf.strings.split(columns[column], separator).to_tensor("")
            return histories.have_in_common(encode(of_row), encode(of_steps))

        return matches

    def _text(self, column: str, encode=None):
        self._add(column, _TEXT, encode)
        return lambda columns: columns[column]

    def _number(self, column: str):
        """A column that is text elsewhere is one text, and read as a number here."""
        if any(w.column == column and w.kind == "text" for w in self._features.wants()):
            self._add(column, _TEXT)
            nan = tf.constant("nan")
            return lambda columns: tf.strings.to_number(
                tf.where(columns[column] == "", nan, columns[column]), tf.float64
            )
        self._add(column, _NUMBER)
        return lambda columns: columns[column]

    def _add(self, column: str, spec: tf.TensorSpec, encode=None):
        self.examples.setdefault(column, getattr(encode, "example", "a" if spec.dtype == tf.string else 1.0))
        known = self.signature.setdefault(column, spec)
        if (known.shape.rank, known.dtype) != (spec.shape.rank, spec.dtype):
            raise InputError(
                f"the exported model would have two inputs called {column!r}: a {known.dtype.name} of rank "
                f"{known.shape.rank} and a {spec.dtype.name} of rank {spec.shape.rank}. Rename the raw column."
            )


def _is_filled(cells):
    return ~tf.math.is_nan(cells) if cells.dtype == tf.float64 else cells != ""
