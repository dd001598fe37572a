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
from rectrain.layers.din import ActivationUnit
from rectrain.layers.exact_search import exact_search_unit
from rectrain.layers.mlp import MLP, Logit
from rectrain.models.outputs import single_label
from rectrain.schema import Schema


def build(
    schema: Schema,
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
    label = single_label(schema)
    search = Search(history_of_role(schema, "long", "sim_soft"), num_found=num_found, num_trained=num_trained)
    histories = short_histories(schema, "sim_soft")
    batch = packed_inputs(schema, roles=("short", "long"), extras=True)
    features = SequenceFeatures(
        schema, histories, extras=True, search=search, width=embedding_dim, stddev=embedding_stddev
    )(batch)
    interests = [
        ActivationUnit(
            units=attention_units,
            activation=attention_activation,
            softmax=softmax,
            scaling=scaling,
            name=f"attention_{history.name}",
        )(features["histories"][history.name])
        for history in histories
    ]
    found = exact_search_unit(
        exact_search,
        num_heads=num_heads,
        head_width=head_width,
        attention_units=attention_units,
        attention_activation=attention_activation,
        softmax=softmax,
        scaling=scaling,
    )(features["histories"]["found"])
    flat = keras.layers.Concatenate(name="top")([flat_fields(schema, batch, features), *interests, found])
    searched = [features["search"], features["histories"]["found"]["query"]]
    hidden, hidden_of_search = (
        MLP(hidden_units, dropout=dropout, batch_norm=batch_norm, activation=hidden_activation, name=name)(x)
        for name, x in (("mlp", flat), ("search_mlp", keras.layers.Concatenate(name="searched")(searched)))
    )
    logits = {label: Logit()(hidden), f"{label}/search": Logit(name="search_logit")(hidden_of_search)}
    return keras.Model(batch, logits, name="sim_soft")


def _check_num(key: str, value: int):
    if value < 1:
        raise InputError(f"model.{key} counts steps of the long history and must be at least 1; received {value}.")
