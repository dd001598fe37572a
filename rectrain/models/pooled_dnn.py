"""Pooled DNN: histories as sums or means of their steps, beside the fields, below an MLP.

Source: Covington et al. 2016, "Deep Neural Networks for YouTube Recommendations"; the base model of Zhou et al. 2018,
arXiv:1706.06978.
"""

import keras

from rectrain.errors import InputError, did_you_mean
from rectrain.features.histories import short_histories, step_of
from rectrain.features.inputs import packed_inputs
from rectrain.features.sequences import SequenceFeatures, flat_fields
from rectrain.layers.mlp import MLP, Logit
from rectrain.layers.pooling import MeanPooling, SumPooling, WeightedPooling
from rectrain.models.outputs import single_task
from rectrain.schema import History, Schema
from rectrain.tasks import Task

POOLINGS = ("sum", "mean", "weighted")
WEIGHTS = ("gap", "action")


def build(
    schema: Schema,
    tasks: list[Task],
    *,
    embedding_dim: int,
    embedding_stddev: float,
    pooling: str,
    weighted_by: str,
    hidden_units: list[int],
    hidden_activation: str,
    dropout: float,
    batch_norm: bool,
) -> keras.Model:
    _check_choice("pooling", pooling, POOLINGS)
    _check_choice("weighted_by", weighted_by, WEIGHTS)
    task = single_task(tasks)
    histories = short_histories(schema, "pooled_dnn")
    batch = packed_inputs(schema, extras=pooling == "weighted")
    features = SequenceFeatures(
        schema, histories, extras=False, search=None, width=embedding_dim, stddev=embedding_stddev
    )(batch)
    pooled = [_pool(pooling, weighted_by, history, features["histories"][history.name], batch) for history in histories]
    flat = keras.layers.Concatenate(name="top")([flat_fields(schema, batch, features), *pooled])
    hidden = MLP(hidden_units, dropout=dropout, batch_norm=batch_norm, activation=hidden_activation)(flat)
    return keras.Model(batch, {task: Logit()(hidden)}, name="pooled_dnn")


def _pool(pooling: str, weighted_by: str, history: History, vectors, batch):
    name = f"pooling_{history.name}"
    if pooling != "weighted":
        layer = SumPooling(name=name) if pooling == "sum" else MeanPooling(name=name)
        return layer(vectors["keys"], vectors["valid"])
    step = step_of(history, weighted_by, "pooled_dnn")
    kinds = batch[f"{history.name}_{step.name}"] - step.offset
    return WeightedPooling(step.num_rows, name=name)(vectors["keys"], kinds, vectors["valid"])


def _check_choice(key: str, value: str, known: tuple[str, ...]):
    if value not in known:
        raise InputError(f"model.{key}={value!r} is unknown.{did_you_mean(value, known)}")
