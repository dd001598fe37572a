"""Each model, one row at a time, in float64: (weights, schema, batch, **knobs) -> logits (B,).

`weights` maps a weight's path to its array.
"""

import numpy as np

from tests.reference import features, layers


def lr(weights, schema, batch):
    return features.linear_terms(weights, schema, batch)


def fm(weights, schema, batch, **_):
    fields = features.field_embeddings(weights, schema, batch, numeric=True)
    return features.linear_terms(weights, schema, batch) + np.array([layers.pairs(row) for row in fields])


def _deep(weights, x, *, hidden_units, batch_norm, **_):
    return layers.mlp(weights, x, num_layers=len(hidden_units), batch_norm=batch_norm)


def wide_deep(weights, schema, batch, **knobs):
    flat = features.flat_features(weights, schema, batch)
    deep = [layers.logit(weights, _deep(weights, x, **knobs), name="deep_logit") for x in flat]
    return features.linear_terms(weights, schema, batch) + np.array(deep)


def deepfm(weights, schema, batch, **knobs):
    fields = features.field_embeddings(weights, schema, batch, numeric=True)
    deep = [layers.logit(weights, _deep(weights, row.ravel(), **knobs), name="deep_logit") for row in fields]
    return fm(weights, schema, batch) + np.array(deep)


def dcn(weights, schema, batch, *, num_crosses, **knobs):
    logits = []
    for x in features.flat_features(weights, schema, batch):
        top = layers.vector_cross(weights, x, num_crosses=num_crosses)
        if knobs["hidden_units"]:
            top = np.concatenate([top, _deep(weights, x, **knobs)])
        logits.append(layers.logit(weights, top, name="logit"))
    return np.array(logits)


def dcn_v2(weights, schema, batch, *, num_crosses, cross_rank, structure, **knobs):
    logits = []
    for x in features.flat_features(weights, schema, batch):
        top = layers.matrix_cross(weights, x, num_crosses=num_crosses, rank=cross_rank)
        if structure == "stacked":
            top = _deep(weights, top, **knobs)
        elif knobs["hidden_units"]:
            top = np.concatenate([top, _deep(weights, x, **knobs)])
        logits.append(layers.logit(weights, top, name="logit"))
    return np.array(logits)


def autoint(
    weights, schema, batch, *, num_attention_layers, num_heads, head_width, residual, scaling, hidden_units, **knobs
):
    logits = []
    for fields in features.field_embeddings(weights, schema, batch, numeric=True):
        x = fields
        for i in range(num_attention_layers):
            x = layers.interacting(
                weights, x, name=f"interacting_{i}", num_heads=num_heads, residual=residual, scaling=scaling
            )
            assert x.shape == (len(fields), num_heads * head_width)
        logit = layers.logit(weights, x.ravel(), name="attention_logit")
        if hidden_units:
            deep = _deep(weights, fields.ravel(), hidden_units=hidden_units, **knobs)
            logit += layers.logit(weights, deep, name="deep_logit")
        logits.append(logit)
    return np.array(logits)
