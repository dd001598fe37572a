"""Histories as vectors, beside the fields of a row, from the one fused table.

Shape letters: B batch, F fields, T steps, K steps found, S features that steps share, D width.
"""

from dataclasses import dataclass

import keras
import tensorflow as tf
from keras import ops

from rectrain.features.embedding import check_table, side_by_side
from rectrain.features.tables import average_valid, look_up_together, normal_columns, reader, value_bags
from rectrain.layers.soft_search import SoftSearch, best_steps, evenly_spaced_steps, score_weighted_sum
from rectrain.schema import History, Schema


@dataclass(frozen=True)
class Search:
    """How the steps of a long history are found that a candidate is compared with.

    Args:
        num_found: steps kept, K.
        num_trained: steps that the search learns from in each row, spread evenly over its long history.
    """

    history: History
    num_found: int
    num_trained: int


class SequenceFeatures(keras.layers.Layer):
    """Vectors of fields and of the steps of histories, all ids of a row in one look-up.

    Computes in float32 under any precision; layers that compute in bfloat16 round what they read.

    Args:
        schema: the features; hand-made crosses and numbers have no embedding.
        histories: to be read whole.
        extras: whether their steps that have rows of their own, such as the gap, are read too.
        search: of a long history; None: none.
        width: D.  stddev: of the normal initializer.
    Call arguments:
        batch: the packed batch.
    Returns:
        {"fields": float32 (B, F, D), categorical, then multi-valued;
        "histories": {name: history}, with a search also "found", the K steps found in the long history;
        "search": float32 (B, S * D), what trains the search (score_weighted_sum), where there is one}.
        A history is {"query": float32 (B, S * D), the candidate's vectors of the features that the steps share;
        "keys": float32 (B, T, S * D), the same of each step; "extras": float32 (B, T, E), what else a step carries,
        absent where there is nothing; "valid": bool (B, T)}.
    Raises:
        InputError: width is below 1; stddev is not a positive number.
    """

    def __init__(
        self,
        schema: Schema,
        histories: list[History],
        *,
        extras: bool,
        search: Search | None,
        width: int,
        stddev: float,
        name: str = "embedding",
    ):
        super().__init__(name=name, dtype="float32")
        check_table(width, stddev)
        self.schema = schema
        self.histories = histories
        self.extras = extras
        self.search = search
        self.width = width
        self.stddev = stddev
        self.scoring = None if search is None else SoftSearch(name="search", dtype="float32")

    def build(self, batch_shape):
        self.table = self.add_weight(
            shape=(self.schema.num_embedding_rows, self.width),
            initializer=lambda shape, dtype=None: normal_columns(shape, self.width, self.stddev),
            name="table",
        )
        if self.search is not None:
            self.scoring.build((None, len(_shared(self.search.history)) * self.width))

    def call(self, batch, training=False):
        ids = [_in_batch(history, batch, self.extras) for history in self.histories]
        if self.search is not None:
            ids += self._searched(_in_batch(self.search.history, batch, self.extras), batch)
        fields_BFD, vectors = self._look_up(batch, ids, training)
        histories = {steps.name: self._history(steps, vectors, fields_BFD) for steps in ids}
        features = {"fields": fields_BFD, "histories": histories}
        if self.search is not None:
            features["search"] = self._what_trains_the_search(histories.pop("trained"))
        return features

    def _look_up(self, batch, ids: list["StepIds"], training):
        """float32 (B, F, D), the fields; {(history, step): float32 (B, T, D)}."""
        bags = value_bags(self.schema)
        wanted = {"categorical": batch["categorical"][:, : len(self.schema.categorical)]}
        wanted |= {bag.ids: batch[bag.ids] for bag in bags}
        wanted |= {(steps.name, name): values for steps in ids for name, values in steps.ids.items()}
        found = look_up_together(self.table, list(wanted.values()), training=training)
        vectors = dict(zip(wanted, found, strict=True))
        means = [average_valid(vectors.pop(bag.ids), batch[bag.valid])[:, None] for bag in bags]
        return ops.concatenate([vectors.pop("categorical"), *means], axis=1), vectors

    def _history(self, steps: "StepIds", vectors, fields_BFD):
        """As the class returns it."""
        fields = tf.unstack(fields_BFD, axis=1)
        shared = _shared(steps.history)
        history = {
            "query": ops.concatenate([fields[column] for column in _columns(self.schema, steps.history)], axis=-1),
            "keys": ops.concatenate([vectors[steps.name, name] for name in shared], axis=-1),
            "valid": steps.valid,
        }
        extras = [vectors[steps.name, name] for name in steps.ids if name not in shared]
        return {**history, "extras": ops.concatenate(extras, axis=-1)} if extras else history

    def _what_trains_the_search(self, trained):
        assert self.scoring is not None
        return score_weighted_sum(self.scoring(trained["query"]), trained["keys"], trained["valid"])

    def _searched(self, long: "StepIds", batch) -> list["StepIds"]:
        """The steps found and those that train the search. Reads without gradient what is looked up again with one."""
        assert self.search is not None
        assert self.scoring is not None
        read = reader(self.table)
        columns = _columns(self.schema, long.history)
        query_BSD = tf.stack([read(batch["categorical"][:, column]) for column in columns], axis=1)
        aims = tf.stop_gradient(self.scoring(ops.reshape(query_BSD, (-1, len(columns) * self.width))))
        aims = tf.split(aims, len(columns), axis=1)

        def scores_of(start, stop):
            keys = [read(long.ids[name][:, start:stop]) for name in _shared(long.history)]
            return tf.add_n([tf.einsum("bcd,bd->bc", key, aim) for key, aim in zip(keys, aims, strict=True)])

        found = best_steps(scores_of, long.valid, self.search.num_found)
        trained = evenly_spaced_steps(long.valid, self.search.num_trained)
        return [long.at("found", *found), long.at("trained", *trained)]


@dataclass(frozen=True)
class StepIds:
    """Table rows of the steps of a history, or of some of them: step name -> int32 (B, T); bool (B, T)."""

    name: str
    history: History
    ids: dict
    valid: tf.Tensor

    def at(self, name: str, steps, found) -> "StepIds":
        """The steps int32 (B, K) where bool (B, K) is True, padding elsewhere."""
        padding = {step.name: step.offset for step in self.history.steps}
        ids = {
            part: tf.where(found, tf.gather(values, steps, batch_dims=1), padding[part])
            for part, values in self.ids.items()
        }
        return StepIds(name, self.history, ids, found)


def _in_batch(history: History, batch, extras: bool) -> StepIds:
    names = [step.name for step in history.steps if extras or step.feature is not None]
    return StepIds(
        history.name, history, {name: batch[f"{history.name}_{name}"] for name in names}, batch[f"{history.name}_valid"]
    )


def _shared(history: History) -> list[str]:
    """Steps that share the rows of a feature."""
    return [step.name for step in history.steps if step.feature is not None]


def _columns(schema: Schema, history: History) -> list[int]:
    """Columns of `categorical` with the candidate's values of what the steps share."""
    names = [feature.name for feature in schema.categorical]
    return [names.index(step.feature) for step in history.steps if step.feature is not None]


def flat_fields(schema: Schema, batch, features):
    """The fields side by side, then the raw numeric values: float (B, F * D + N), what a sequence model adds to."""
    return side_by_side(schema, batch, features["fields"])
