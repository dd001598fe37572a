"""Histories as vectors, beside the fields of a row, from the one fused table.

Shape letters: B batch, F fields, T steps, C steps of a chunk, K steps found, S features that steps share, E width of
extras, D width of a vector, in the search that of all S.
"""

import dataclasses
from dataclasses import dataclass

import keras
import tensorflow as tf
from keras import ops

from rectrain.features.embedding import check_table, side_by_side
from rectrain.features.step_ids import StepIds, shared_steps, steps_of_batch
from rectrain.features.tables import add_table, average_valid, look_up_together, reader, value_bags
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
        absent where there is nothing; "valid": bool (B, T); "ids": {step: int32 (B, T)}, what the vectors are of}.
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
        self.table = add_table(self, (self.schema.num_embedding_rows, self.width), self.width, self.stddev)
        if self.search is not None:
            self.scoring.build((None, len(shared_steps(self.search.history)) * self.width))

    def call(self, batch, training=False):
        read = [steps_of_batch(history, batch, extras=self.extras) for history in self.histories]
        if self.search is not None:
            read += self._searched(steps_of_batch(self.search.history, batch, extras=self.extras), batch)
        fields_BFD, vectors = self._look_up(batch, read, training)
        histories = {steps.name: self._history(steps, vectors, fields_BFD) for steps in read}
        features = {"fields": fields_BFD, "histories": histories}
        if self.search is not None:
            features["search"] = self._what_trains_the_search(histories.pop("trained"))
        return features

    def get_config(self):
        search = self.search and {**dataclasses.asdict(self.search), "history": self.search.history.name}
        kept = ("name", "extras", "width", "stddev")
        return {
            "schema": self.schema.to_json(),
            "histories": [history.name for history in self.histories],
            "search": search,
            **{key: getattr(self, key) for key in kept},
        }

    @classmethod
    def from_config(cls, config):
        schema, search = Schema.from_json(config["schema"]), config["search"]
        named = {history.name: history for history in schema.histories}
        histories = [named[name] for name in config["histories"]]
        search = search and Search(**{**search, "history": named[search["history"]]})
        return cls(**{**config, "schema": schema, "histories": histories, "search": search})

    def _look_up(self, batch, read: list[StepIds], training):
        """float32 (B, F, D), the fields; {(name, "keys" or "extras"): float32 (B, T, ...)}, steps."""
        bags = value_bags(self.schema)
        ids = {"categorical": batch["categorical"][:, : len(self.schema.categorical)]}
        ids |= {bag.ids: batch[bag.ids] for bag in bags}
        steps = {(of.name, "keys"): of.keys for of in read}
        steps |= {(of.name, "extras"): of.extras for of in read if of.extras is not None}
        flat_steps = [ops.reshape(x, (-1, ops.shape(x)[1] * x.shape[2])) for x in steps.values()]
        found = look_up_together(self.table, [*ids.values(), *flat_steps], training=training)
        categorical, *values = found[: len(ids)]
        means = [average_valid(x, batch[bag.valid])[:, None] for bag, x in zip(bags, values, strict=True)]
        vectors = {
            key: ops.reshape(x, (*ops.shape(steps[key])[:2], steps[key].shape[2] * self.width))
            for key, x in zip(steps, found[len(ids) :], strict=True)
        }
        return ops.concatenate([categorical, *means], axis=1), vectors

    def _history(self, steps: StepIds, vectors, fields_BFD):
        """As the class returns it."""
        fields = tf.unstack(fields_BFD, axis=1)  # not sliced: as in look_up_together
        query = [fields[column] for column in self._columns(steps.history)]
        history = {part: vectors[steps.name, part] for part in ("keys", "extras") if (steps.name, part) in vectors}
        return {"query": ops.concatenate(query, axis=-1), "valid": steps.valid, "ids": steps.by_name(), **history}

    def _columns(self, history: History) -> list[int]:
        """Columns of `categorical` with the candidate's values of what the steps share."""
        columns = {feature.name: column for column, feature in enumerate(self.schema.categorical)}
        return [columns[str(step.feature)] for step in shared_steps(history)]

    def _searched(self, long: StepIds, batch) -> list[StepIds]:
        """The steps found and those that train the search. Reads without gradient what is looked up again with one."""
        assert self.search is not None
        assert self.scoring is not None
        read = reader(self.table)
        columns = self._columns(long.history)
        width = len(columns) * self.width
        candidate_BS = tf.stack([batch["categorical"][:, column] for column in columns], axis=1)
        aims_BD1 = tf.stop_gradient(self.scoring(tf.reshape(read(candidate_BS), (-1, width))))[..., None]

        def scores_of(start, stop):
            keys_BCD = tf.reshape(read(long.keys[:, start:stop]), (-1, stop - start, width))
            return tf.matmul(keys_BCD, aims_BD1)[..., 0]

        found = best_steps(scores_of, long.valid, self.search.num_found)
        trained = evenly_spaced_steps(long.valid, self.search.num_trained)
        return [long.at("found", *found), long.at("trained", *trained)]

    def _what_trains_the_search(self, trained):
        assert self.scoring is not None
        return score_weighted_sum(self.scoring(trained["query"]), trained["keys"], trained["valid"])


def flat_fields(schema: Schema, batch, features):
    """The fields side by side, then the raw numeric values: float (B, F * D + N), what a sequence model adds to."""
    return side_by_side(schema, batch, features["fields"])
