"""AutoInt: self-attention over the fields; optionally an MLP on the same embeddings (AutoInt+) and linear terms.

Source: Song et al. 2019, "AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural Networks",
arXiv:1810.11921.
"""

import keras

from rectrain.errors import InputError
from rectrain.features.embedding import FieldEmbeddings
from rectrain.features.inputs import packed_inputs
from rectrain.features.linear import fields_and_linear
from rectrain.layers.attention import InteractingLayer
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
    num_attention_layers: int,
    num_heads: int,
    head_width: int,
    residual: bool,
    scaling: bool,
    layer_norm: bool,
    linear: bool,
    hidden_units: list[int],
    dropout: float,
    batch_norm: bool,
) -> keras.Model:
    if num_attention_layers < 0:
        raise InputError(
            f"the number of interacting layers must be 0 or more; received {num_attention_layers}. "
            "Set model.num_attention_layers, usually 1 to 4."
        )
    task = single_task(tasks)
    batch = packed_inputs(schema)
    logits = []
    if linear:
        fields, first_order = fields_and_linear(
            schema, batch, width=embedding_dim, stddev=embedding_stddev, numeric=True
        )
        logits.append(first_order)
    else:
        fields = FieldEmbeddings(schema, width=embedding_dim, stddev=embedding_stddev, numeric=True)(batch)
    attended = fields
    for position in range(num_attention_layers):
        attended = InteractingLayer(
            num_heads=num_heads,
            head_width=head_width,
            residual=residual,
            scaling=scaling,
            layer_norm=layer_norm,
            name=f"interacting_{position}",
        )(attended)
    logits.append(Logit(name="attention_logit")(keras.layers.Flatten(name="flatten_attended")(attended)))
    if hidden_units:
        flat = keras.layers.Flatten(name="flatten")(fields)
        hidden = MLP(hidden_units, dropout=dropout, batch_norm=batch_norm)(flat)
        logits.append(Logit(name="deep_logit")(hidden))
    logit = logits[0] if len(logits) == 1 else keras.layers.Add(name="logit", dtype="float32")(logits)
    return keras.Model(batch, {task: logit}, name="autoint")
