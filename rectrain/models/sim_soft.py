"""SIM, soft search: DIN on the short history, and attention to the steps of a long one most like the candidate.

An auxiliary logit ("<task>/search") trains the search itself, as choosing the best steps has no gradient.

Source: Pi et al. 2020, "Search-based User Interest Modeling with Lifelong Sequential Behavior Data for Click-Through
Rate Prediction", arXiv:2006.05639.
"""

import keras

from rectrain.errors import InputError
from rectrain.features.histories import history_of_role, short_histories
from rectrain.features.inputs import packed_inputs
from rectrain.features.sequences import Search, SequenceFeatures, flat_fields
from rectrain.layers.din import activation_units
from rectrain.layers.exact_search import exact_search_unit
from rectrain.layers.mlp import MLP, Logit
from rectrain.models.outputs import single_task
from rectrain.schema import Schema
from rectrain.tasks import Task


def build(
    schema: Schema,
    tasks: list[Task],
    *,
    embedding_dim: int,
    embedding_stddev: float,
    num_found: int,
    num_trained: int,
    exact_search: str,
    num_heads: int,
    head_width: int,
    attention_units: list[int],
    attention_activation: str,
    softmax: bool,
    scaling: bool,
    hidden_units: list[int],
    hidden_activation: str,
    dropout: float,
    batch_norm: bool,
) -> keras.Model:
    _check_num("num_found", num_found)
    _check_num("num_trained", num_trained)
    task = single_task(tasks)
    search = Search(history_of_role(schema, "long", "sim_soft"), num_found=num_found, num_trained=num_trained)
    histories = short_histories(schema, "sim_soft")
    batch = packed_inputs(schema, roles=("short", "long"), extras=True)
    features = SequenceFeatures(
        schema, histories, extras=True, search=search, width=embedding_dim, stddev=embedding_stddev
    )(batch)
    attention = {
        "units": attention_units,
        "activation": attention_activation,
        "softmax": softmax,
        "scaling": scaling,
    }
    found = features["histories"].pop("found")
    interests = activation_units(features["histories"], attention)
    searched = exact_search_unit(exact_search, attention=attention, num_heads=num_heads, head_width=head_width)(found)
    flat = keras.layers.Concatenate(name="top")([flat_fields(schema, batch, features), *interests, searched])
    flat_of_search = keras.layers.Concatenate(name="searched")([features["search"], found["query"]])
    hidden, hidden_of_search = (
        MLP(hidden_units, dropout=dropout, batch_norm=batch_norm, activation=hidden_activation, name=name)(x)
        for name, x in (("mlp", flat), ("search_mlp", flat_of_search))
    )
    logits = {task: Logit()(hidden), f"{task}/search": Logit(name="search_logit")(hidden_of_search)}
    return keras.Model(batch, logits, name="sim_soft")


def _check_num(key: str, value: int):
    if value < 1:
        raise InputError(f"model.{key} counts steps of the long history and must be at least 1; received {value}.")
