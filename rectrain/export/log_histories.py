"""The histories of a log, cut from lists of what a user did: one for each kind of step, oldest first.

They are called history_<column>; history_<time column> is float64, padded with NaN. A step is one up to the last place
that any of the lists fills.

Shape letters: B batch, T steps that come, S steps of one history, G categories.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

import tensorflow as tf

from rectrain.config import DataConfig
from rectrain.export import lists
from rectrain.export.columns import NUMBER, NUMBERS, TEXTS
from rectrain.export.encodings import gap_buckets, log_square_texts, quantile_ids
from rectrain.schema import HISTORY, Categorical, MultiValued, Schema, Step

if TYPE_CHECKING:
    from rectrain.export.raw_batch import RawBatch


class LogHistories:
    """columns -> the tensors of those that a model reads.

    Args:
        raw: encodes texts, and is told which columns are wanted.
        inputs: names of what the model reads.
    """

    def __init__(self, data: DataConfig, schema: Schema, raw: "RawBatch", inputs: Collection[str]):
        assert data.time is not None
        self._raw, self._schema, self._time = raw, schema, data.time.column
        self._histories = [h for h in schema.histories if h.from_log and f"{h.name}_valid" in inputs]
        self._steps = {
            step.name: step
            for history in self._histories
            for step in history.steps
            if f"{history.name}_{step.name}" in inputs
        }
        self._columns = {name: self._want(step) for name, step in self._steps.items()}
        if any(history.role == "hits" for history in self._histories):
            assert schema.hits_by is not None
            raw.columns.add(f"{HISTORY}_{schema.hits_by}", TEXTS, self._example(self._feature(schema.hits_by)))

    def __call__(self, columns: dict) -> dict:
        filled = tf.stack([_is_filled(columns[column]) for column in self._columns.values()])
        lengths = lists.filled_length(tf.reduce_any(filled, axis=0))
        ids = {name: self._ids(name, columns) for name in self._steps}
        found = {}
        for history in self._histories:
            if history.role == "hits":
                real = tf.range(tf.shape(filled)[2]) < lengths[:, None]
                places, valid = lists.last_where(real & self._matches(columns), history.max_length)
            else:
                places, valid = lists.last(lengths, history.max_length)
            found[f"{history.name}_valid"] = valid
            for name, step in self._steps.items():
                rows = step.offset + lists.taken(ids[name], places, valid, 0)
                found[f"{history.name}_{name}"] = tf.cast(rows, tf.int32)
        return found

    def _want(self, step: Step) -> str:
        """Asks for the list of a kind of step; its name."""
        add = self._raw.columns.add
        if step.name == "gap":
            add(self._time, NUMBER, 1.0)
            add(f"{HISTORY}_{self._time}", NUMBERS, 1.0)
            return f"{HISTORY}_{self._time}"
        if step.feature is None:
            add(f"{HISTORY}_{step.encoding['column']}", TEXTS, self._raw.example(step.encoding))
            return f"{HISTORY}_{step.encoding['column']}"
        feature = self._feature(step.feature)
        is_number = feature.encoding["type"] in ("log_square", "quantile")
        add(f"{HISTORY}_{step.name}", NUMBERS if is_number else TEXTS, 1.0 if is_number else self._example(feature))
        return f"{HISTORY}_{step.name}"

    def _ids(self, name: str, columns: dict):
        """int64 (B, T), from the feature's own 0."""
        step, cells = self._steps[name], columns[self._columns[name]]
        if name == "gap":
            return gap_buckets(columns[self._time][:, None] - cells)
        encoding = step.encoding if step.feature is None else self._feature(step.feature).encoding
        if encoding["type"] == "quantile":
            return quantile_ids(encoding, cells)
        return self._raw.ids(encoding, log_square_texts(cells) if encoding["type"] == "log_square" else cells)

    def _matches(self, columns: dict):
        """Whether a step has a category of its row: bool (B, T)."""
        by = self._schema.hits_by
        assert by is not None
        feature, of_steps = self._feature(by), columns[f"{HISTORY}_{by}"]
        if isinstance(feature, Categorical):
            of_row, of_steps = columns[by][:, None], of_steps[:, :, None]
        else:
            separator = feature.encoding["separator"]
            of_row, _ = lists.cut(columns[by], separator)
            of_steps = tf.strings.split(of_steps, separator).to_tensor("")
        ids = self._raw.ids
        return lists.have_in_common(ids(feature.encoding, of_row), ids(feature.encoding, of_steps))

    def _feature(self, name: str) -> Categorical | MultiValued:
        features: list[Categorical | MultiValued] = [*self._schema.categorical, *self._schema.multi_valued]
        return next(feature for feature in features if feature.name == name)

    def _example(self, feature: Categorical | MultiValued) -> str:
        return self._raw.example(feature.encoding)


def _is_filled(cells):
    return ~tf.math.is_nan(cells) if cells.dtype == tf.float64 else cells != ""
