"""Features row by row and value by value, in float64. `weights` maps a weight's path to its array."""

import numpy as np


def num_rows(batch):
    return len(next(iter(batch.values())))


def tables(weights, schema):
    """(vectors, first-order weights of all values) whether they stand in one table, side by side, or in two."""
    vectors, linear = weights.get("embedding/table"), weights.get("linear/table")
    apart = linear is not None and len(linear) == schema.num_linear_rows
    if apart or vectors is None or "linear/bias" not in weights:
        return vectors, linear
    crosses = np.zeros((0, 1)) if linear is None else linear
    return vectors[:, :-1], np.concatenate([vectors[:, -1:], crosses])


def _mean_of_valid(table, ids, valid):
    real = [table[i] for i, ok in zip(ids, valid, strict=True) if ok]
    return sum(real) / len(real) if real else np.zeros(table.shape[1])


def field_embeddings(weights, schema, batch, *, numeric):
    """A list of B float64 arrays (F, D)."""
    vectors, _ = tables(weights, schema)
    rows = []
    for row in range(num_rows(batch)):
        fields = [vectors[batch["categorical"][row, i]] for i in range(len(schema.categorical))]
        for f in schema.multi_valued:
            fields.append(_mean_of_valid(vectors, batch[f.name][row], batch[f"{f.name}_valid"][row]))
        for history in schema.histories:
            for step in history.steps:
                if history.role == "short" and step.feature is not None:
                    ids = batch[f"{history.name}_{step.name}"][row]
                    fields.append(_mean_of_valid(vectors, ids, batch[f"{history.name}_valid"][row]))
        for i in range(len(schema.numeric) if numeric else 0):
            fields.append(float(batch["numeric"][row, i]) * weights["embedding/numeric_vectors"][i])
        rows.append(np.stack(fields))
    return rows


def flat_features(weights, schema, batch, *, numeric_vectors=False):
    """A list of B float64 vectors: the embeddings one after the other, then the raw numeric values or their vectors."""
    if numeric_vectors:
        return [fields.ravel() for fields in field_embeddings(weights, schema, batch, numeric=True)]
    rows = []
    for row in range(num_rows(batch)):
        one = {key: values[row : row + 1] for key, values in batch.items()}
        parts = [np.zeros(0)]
        if schema.categorical or schema.multi_valued:
            parts.extend(field_embeddings(weights, schema, one, numeric=False)[0])
        if schema.numeric:
            parts.append(one["numeric"][0].astype("float64"))
        rows.append(np.concatenate(parts))
    return rows


def linear_terms(weights, schema, batch):
    """float64 (B,)."""
    _, table = tables(weights, schema)
    logits = []
    for row in range(num_rows(batch)):
        logit = float(weights["linear/bias"])
        for i in range(len(schema.categorical) + len(schema.crosses)):
            logit += table[batch["categorical"][row, i], 0]
        for f in schema.multi_valued:
            logit += _mean_of_valid(table, batch[f.name][row], batch[f"{f.name}_valid"][row])[0]
        for i in range(len(schema.numeric)):
            logit += float(batch["numeric"][row, i]) * weights["linear/kernel"][i]
        logits.append(logit)
    return np.array(logits)


def flat_fields(weights, schema, batch, row):
    """float64: the vectors of categorical and multi-valued features, then the raw numeric values; no histories."""
    table = weights["embedding/table"]
    parts = [table[batch["categorical"][row, i]] for i in range(len(schema.categorical))]
    parts += [_mean_of_valid(table, batch[f.name][row], batch[f"{f.name}_valid"][row]) for f in schema.multi_valued]
    if schema.numeric:
        parts.append(batch["numeric"][row].astype("float64"))
    return np.concatenate(parts)


def candidate(weights, schema, batch, row, history):
    """float64: the vectors of the row's own values of what the steps share with features."""
    names = [f.name for f in schema.categorical]
    shared = [step.feature for step in history.steps if step.feature is not None]
    return np.concatenate([weights["embedding/table"][batch["categorical"][row, names.index(f)]] for f in shared])


def real_steps(weights, batch, row, history):
    """Lists of float64 vectors for the real steps: what they share with features, and what else they carry."""
    table = weights["embedding/table"]
    keys, extras = [], []
    for t in np.flatnonzero(batch[f"{history.name}_valid"][row]):
        ids = [(step, batch[f"{history.name}_{step.name}"][row, t]) for step in history.steps]
        keys.append(np.concatenate([table[i] for step, i in ids if step.feature is not None]))
        extras.append(np.concatenate([np.zeros(0), *(table[i] for step, i in ids if step.feature is None)]))
    return keys, extras
