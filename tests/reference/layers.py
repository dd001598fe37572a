"""Layers for one row at a time, in float64, with the formulas of the papers. `weights` maps a path to its array."""

import numpy as np


def set_random_weights(layer, *, seed, scale=0.5):
    """Fills all weights of a layer or model, biases too, and returns them: {path: float64 array}."""
    rng = np.random.default_rng(seed)
    weights = {}
    for weight in layer.weights:
        value = rng.normal(scale=scale, size=weight.shape)
        if weight.path.endswith("moving_variance"):
            value = rng.uniform(0.5, 2.0, size=weight.shape)
        weight.assign(value.astype("float32"))
        weights[weight.path] = np.asarray(weight.numpy(), "float64")
    return weights


def mlp(weights, x, *, num_layers, batch_norm):
    """x: float (D,), at inference."""
    for i in range(num_layers):
        x = x @ weights[f"mlp/dense_{i}/kernel"]
        if batch_norm:
            gamma, beta, mean, variance = (
                weights[f"mlp/batch_norm_{i}/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance")
            )
            x = gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta
        else:
            x = x + weights[f"mlp/dense_{i}/bias"]
        x = np.array([max(unit, 0.0) for unit in x])
    return x


def logit(weights, x, *, name):
    return sum(a * b for a, b in zip(x, weights[f"{name}/kernel"][:, 0], strict=True)) + float(weights[f"{name}/bias"])


def pairs(fields):
    """fields: float (F, D). Every pair once."""
    return sum(float(fields[i] @ fields[j]) for i in range(len(fields)) for j in range(i))


def vector_cross(weights, x0, *, num_crosses):
    x = x0
    for i in range(num_crosses):
        x = x0 * float(x @ weights[f"cross/kernel_{i}"][:, 0]) + weights[f"cross/bias_{i}"] + x
    return x


def matrix_cross(weights, x0, *, num_crosses, rank):
    x = x0
    for i in range(num_crosses):
        if rank is None:
            matrix = weights[f"cross/kernel_{i}"].T
        else:
            matrix = weights[f"cross/u_{i}"].T @ weights[f"cross/v_{i}"].T  # U V^T, (D, rank) (rank, D)
        x = x0 * (matrix @ x + weights[f"cross/bias_{i}"]) + x
    return x


def interacting(weights, fields, *, name, num_heads, residual, scaling):
    """fields: float (F, D). The paper's equations 5 to 8, one head and one field at a time."""
    query, key, value = (weights[f"{name}/{part}"] for part in ("query", "key", "value"))
    width = query.shape[1] // num_heads
    out = np.zeros((len(fields), num_heads * width))
    for head in range(num_heads):
        part = slice(head * width, (head + 1) * width)
        for m, field in enumerate(fields):
            scores = np.array([(field @ query[:, part]) @ (other @ key[:, part]) for other in fields])
            if scaling:
                scores = scores / np.sqrt(width)
            alpha = np.exp(scores - scores.max())
            alpha = alpha / alpha.sum()
            out[m, part] = sum(a * (other @ value[:, part]) for a, other in zip(alpha, fields, strict=True))
    if residual:
        out = out + fields @ weights.get(f"{name}/residual", np.eye(fields.shape[1]))
    return np.maximum(out, 0)
