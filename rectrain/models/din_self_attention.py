"""DIN on steps that have first looked at each other: self-attention over a history, then the candidate's attention.

Source: Zhou et al. 2018, "Deep Interest Network for Click-Through Rate Prediction", arXiv:1706.06978; Vaswani et al.
2017, "Attention Is All You Need", arXiv:1706.03762. Self-attention before the candidate's as in Feng et al. 2019, "Deep
Session Interest Network for Click-Through Rate Prediction", arXiv:1905.06482, without its sessions.
"""

import keras

from rectrain.features.histories import short_histories
from rectrain.features.inputs import packed_inputs
from rectrain.features.sequences import SequenceFeatures, flat_fields
from rectrain.layers.din import activation_units
from rectrain.layers.history_attention import SelfAttention
from rectrain.layers.mlp import MLP, Logit
from rectrain.models.outputs import single_task
from rectrain.schema import History, Schema
from rectrain.tasks import Task


def build(
    schema: Schema,
    tasks: list[Task],
    *,
    embedding_dim: int,
    embedding_stddev: float,
    num_heads: int,
    head_width: int,
    positions: bool,
    attention_units: list[int],
    attention_activation: str,
    softmax: bool,
    scaling: bool,
    hidden_units: list[int],
    hidden_activation: str,
    dropout: float,
    batch_norm: bool,
) -> keras.Model:
    task = single_task(tasks)
    histories = short_histories(schema, "din_self_attention")
    batch = packed_inputs(schema, extras=True)
    features = SequenceFeatures(
        schema, histories, extras=True, search=None, width=embedding_dim, stddev=embedding_stddev
    )(batch)
    attention = {
        "units": attention_units,
        "activation": attention_activation,
        "softmax": softmax,
        "scaling": scaling,
    }
    seen = {
        history.name: _after_self_attention(
            history,
            features["histories"][history.name],
            num_heads=num_heads,
            head_width=head_width,
            positions=positions,
        )
        for history in histories
    }
    interests = activation_units(seen, attention)
    flat = keras.layers.Concatenate(name="top")([flat_fields(schema, batch, features), *interests])
    hidden = MLP(hidden_units, dropout=dropout, batch_norm=batch_norm, activation=hidden_activation)(flat)
    return keras.Model(batch, {task: Logit()(hidden)}, name="din_self_attention")


def _after_self_attention(history: History, vectors: dict, **settings) -> dict:
    layer = SelfAttention(max_length=history.max_length, name=f"self_attention_{history.name}", **settings)
    return {**vectors, "keys": layer(vectors)}
