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


def wide_deep(weights, schema, batch, *, numeric_vectors, **knobs):
    flat = features.flat_features(weights, schema, batch, numeric_vectors=numeric_vectors)
    deep = [layers.logit(weights, _deep(weights, x, **knobs), name="deep_logit") for x in flat]
    return features.linear_terms(weights, schema, batch) + np.array(deep)


def deepfm(weights, schema, batch, **knobs):
    fields = features.field_embeddings(weights, schema, batch, numeric=True)
    deep = [layers.logit(weights, _deep(weights, row.ravel(), **knobs), name="deep_logit") for row in fields]
    return fm(weights, schema, batch) + np.array(deep)


def dcn(weights, schema, batch, *, numeric_vectors, num_crosses, **knobs):
    logits = []
    for x in features.flat_features(weights, schema, batch, numeric_vectors=numeric_vectors):
        top = layers.vector_cross(weights, x, num_crosses=num_crosses)
        if knobs["hidden_units"]:
            top = np.concatenate([top, _deep(weights, x, **knobs)])
        logits.append(layers.logit(weights, top, name="logit"))
    return np.array(logits)


def dcn_v2(weights, schema, batch, *, numeric_vectors, num_crosses, cross_rank, structure, **knobs):
    logits = []
    for x in features.flat_features(weights, schema, batch, numeric_vectors=numeric_vectors):
        top = layers.matrix_cross(weights, x, num_crosses=num_crosses, rank=cross_rank)
        if structure == "stacked":
            top = _deep(weights, top, **knobs)
        elif knobs["hidden_units"]:
            top = np.concatenate([top, _deep(weights, x, **knobs)])
        logits.append(layers.logit(weights, top, name="logit"))
    return np.array(logits)


def autoint(weights, schema, batch, *, num_attention_layers, head_width, hidden_units, linear, **knobs):
    attention = {key: knobs.pop(key) for key in ("num_heads", "residual", "scaling", "layer_norm")}
    logits = []
    for fields in features.field_embeddings(weights, schema, batch, numeric=True):
        x = fields
        for i in range(num_attention_layers):
            x = layers.interacting(weights, x, name=f"interacting_{i}", **attention)
            assert x.shape == (len(fields), attention["num_heads"] * head_width)
        logit = layers.logit(weights, x.ravel(), name="attention_logit")
        if hidden_units:
            deep = _deep(weights, fields.ravel(), hidden_units=hidden_units, **knobs)
            logit += layers.logit(weights, deep, name="deep_logit")
        logits.append(logit)
    return np.array(logits) + (features.linear_terms(weights, schema, batch) if linear else 0)


def _top(weights, x, *, hidden_units, hidden_activation, batch_norm, mlp="mlp", logit="logit", **_):
    hidden = layers.mlp(
        weights, x, num_layers=len(hidden_units), batch_norm=batch_norm, activation=hidden_activation, name=mlp
    )
    return layers.logit(weights, hidden, name=logit)


def _short(schema):
    return [history for history in schema.histories if history.role == "short"]


def _unit(weights, query, keys, extras, name, *, attention_units, attention_activation, softmax, scaling, **_):
    return layers.activation_unit(
        weights,
        query,
        keys,
        extras,
        name=name,
        num_layers=len(attention_units),
        activation=attention_activation,
        softmax_=softmax,
        scaling=scaling,
    )


def pooled_dnn(weights, schema, batch, *, pooling, weighted_by, **knobs):
    logits = []
    for row in range(features.num_rows(batch)):
        parts = [features.flat_fields(weights, schema, batch, row)]
        for history in _short(schema):
            keys, _ = features.real_steps(weights, batch, row, history)
            step_weights = None
            if pooling == "weighted":
                step = next(s for s in history.steps if s.name == weighted_by)
                ids = batch[f"{history.name}_{step.name}"][row][batch[f"{history.name}_valid"][row]]
                log_weights = weights[f"pooling_{history.name}/log_weights"][:, 0]
                step_weights = [np.exp(log_weights[i - step.offset]) for i in ids]
            width = len(features.candidate(weights, schema, batch, row, history))
            parts.append(layers.pooled(keys, width=width, pooling=pooling, step_weights=step_weights))
        logits.append(_top(weights, np.concatenate(parts), **knobs))
    return np.array(logits)


def _interests(weights, schema, batch, row, **knobs):
    """The fields, and what DIN makes of each short history."""
    parts = [features.flat_fields(weights, schema, batch, row)]
    for history in _short(schema):
        query = features.candidate(weights, schema, batch, row, history)
        steps = features.real_steps(weights, batch, row, history)
        parts.append(_unit(weights, query, *steps, f"attention_{history.name}", **knobs))
    return parts


def din(weights, schema, batch, **knobs):
    rows = range(features.num_rows(batch))
    return np.array(
        [_top(weights, np.concatenate(_interests(weights, schema, batch, row, **knobs)), **knobs) for row in rows]
    )


def din_self_attention(weights, schema, batch, *, num_heads, head_width, positions, **knobs):
    logits = []
    for row in range(features.num_rows(batch)):
        parts = [features.flat_fields(weights, schema, batch, row)]
        for history in _short(schema):
            query = features.candidate(weights, schema, batch, row, history)
            keys, extras = features.real_steps(weights, batch, row, history)
            keys = layers.self_attention(
                weights,
                keys,
                extras,
                name=f"self_attention_{history.name}",
                num_heads=num_heads,
                positions=positions,
            )
            parts.append(_unit(weights, query, keys, extras, f"attention_{history.name}", **knobs))
        logits.append(_top(weights, np.concatenate(parts), **knobs))
    return np.array(logits)


def _exact_search(weights, query, keys, extras, *, exact_search, num_heads, head_width, **knobs):
    if exact_search == "din":
        return _unit(weights, query, keys, extras, "exact_search", **knobs)
    return layers.target_attention(weights, query, keys, extras, name="exact_search", num_heads=num_heads)


def sim_hard(weights, schema, batch, **knobs):
    hits = schema.history("hits")
    logits = []
    for row in range(features.num_rows(batch)):
        query = features.candidate(weights, schema, batch, row, hits)
        found = _exact_search(weights, query, *features.real_steps(weights, batch, row, hits), **knobs)
        parts = _interests(weights, schema, batch, row, **knobs)
        logits.append(_top(weights, np.concatenate([*parts, found]), **knobs))
    return np.array(logits)


def sim_soft(weights, schema, batch, *, num_found, num_trained, **knobs):
    long = schema.history("long")
    logits = []
    for row in range(features.num_rows(batch)):
        query = features.candidate(weights, schema, batch, row, long)
        keys, extras = features.real_steps(weights, batch, row, long)
        places = layers.best(layers.search_scores(weights, query, keys, name="embedding/search"), num_found)
        found = _exact_search(weights, query, [keys[i] for i in places], [extras[i] for i in places], **knobs)
        parts = _interests(weights, schema, batch, row, **knobs)
        logits.append(_top(weights, np.concatenate([*parts, found]), **knobs))
    return np.array(logits)


def sim_soft_search(weights, schema, batch, *, num_found, num_trained, **knobs):
    """The auxiliary logit."""
    long = schema.history("long")
    logits = []
    for row in range(features.num_rows(batch)):
        query = features.candidate(weights, schema, batch, row, long)
        keys, _ = features.real_steps(weights, batch, row, long)
        keys = [keys[i] for i in layers.evenly_spaced(len(keys), num_trained)]
        scores = layers.search_scores(weights, query, keys, name="embedding/search")
        pooled = sum((r * k for r, k in zip(scores, keys, strict=True)), start=np.zeros(len(query)))
        x = np.concatenate([pooled, query])
        logits.append(_top(weights, x, mlp="search_mlp", logit="search_logit", **knobs))
    return np.array(logits)
