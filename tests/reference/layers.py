"""Layers for one row at a time, in float64, with the formulas of the papers. `weights` maps a path to its array."""

import keras
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


def mlp(weights, x, *, num_layers, batch_norm, activation="relu", name="mlp"):
    """x: float (D,), at inference."""
    for i in range(num_layers):
        x = x @ weights[f"{name}/dense_{i}/kernel"]
        if batch_norm:
            gamma, beta, mean, variance = (
                weights[f"{name}/batch_norm_{i}/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance")
            )
            x = gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta
        else:
            x = x + weights[f"{name}/dense_{i}/bias"]
        x = activated(weights, x, kind=activation, name=f"{name}/{activation}_{i}")
    return x


def activated(weights, x, *, kind, name):
    """x: float (D,), at inference."""
    if kind == "relu":
        return np.array([max(unit, 0.0) for unit in x])
    if kind == "sigmoid":
        return sigmoid(x)
    alpha = weights[f"{name}/alpha"]
    if kind == "prelu":
        return np.array([unit if unit > 0 else a * unit for unit, a in zip(x, alpha, strict=True)])
    p = sigmoid((x - weights[f"{name}/moving_mean"]) / np.sqrt(weights[f"{name}/moving_variance"] + 1e-8))
    return p * x + (1 - p) * alpha * x


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(scores):
    exponentials = np.exp(np.array(scores) - max(scores, default=0.0))
    return exponentials / exponentials.sum()


def pooled(steps, *, width, pooling, step_weights=None):
    """steps: list of float (D,), the real ones alone; step_weights: one positive number for each."""
    if not steps:
        return np.zeros(width)
    factors = {"sum": np.ones(len(steps)), "mean": np.full(len(steps), 1 / len(steps))}
    if pooling == "weighted":
        factors["weighted"] = np.array(step_weights) / sum(step_weights)
    return sum(w * step for w, step in zip(factors[pooling], steps, strict=True))


def activation_unit(weights, query, keys, extras, *, name, num_layers, activation, softmax_, scaling):
    """keys, extras: lists of float (D,) and (E,), the real steps alone."""
    kernel = weights[f"{name}/kernel"]
    of_steps = []
    for k, extra in zip(keys, extras, strict=True):
        x = np.concatenate([query, k, query - k, query * k, extra]) @ kernel + weights[f"{name}/bias"]
        for i in range(num_layers):
            x = activated(weights, x, kind=activation, name=f"{name}/{activation}_{i}")
            x = x @ weights[f"{name}/dense_{i + 1}/kernel"] + weights[f"{name}/dense_{i + 1}/bias"]
        of_steps.append(float(x[0]) / (np.sqrt(len(query)) if scaling else 1.0))
    if softmax_:
        of_steps = softmax(of_steps)
    total = np.zeros(len(kernel) - 3 * len(query))  # D + E
    for w, k, extra in zip(of_steps, keys, extras, strict=True):
        total = total + w * np.concatenate([k, extra])
    return total


def self_attention(weights, keys, extras, *, name, num_heads, positions):
    """keys, extras: lists of float (D,) and (E,), the real steps alone, oldest first. Returns the new keys."""
    x = [np.concatenate(pair) for pair in zip(keys, extras, strict=True)]
    if positions:
        x = [step + weights[f"{name}/positions"][len(x) - 1 - t] for t, step in enumerate(x)]
    query, key, value = (weights[f"{name}/{part}"] for part in ("query", "key", "value"))
    width = query.shape[1] // num_heads
    attended = []
    for t, step in enumerate(x):
        heads = []
        for head in range(num_heads):
            part = slice(head * width, (head + 1) * width)
            scores = [(step @ query[:, part]) @ (other @ key[:, part]) / np.sqrt(width) for other in x]
            heads.append(sum(a * (other @ value[:, part]) for a, other in zip(softmax(scores), x, strict=True)))
        sum_ = keys[t] + np.concatenate(heads) @ weights[f"{name}/output"]
        normalized = (sum_ - sum_.mean()) / np.sqrt(sum_.var() + 1e-5)
        attended.append(normalized * weights[f"{name}/norm/gamma"] + weights[f"{name}/norm/beta"])
    return attended


def target_attention(weights, query, keys, extras, *, name, num_heads):
    """keys, extras: lists of float (D,) and (E,), the real steps alone."""
    of_query, of_key = weights[f"{name}/query"], weights[f"{name}/key"]
    width = of_query.shape[1] // num_heads
    x = [np.concatenate(pair) for pair in zip(keys, extras, strict=True)]
    heads = []
    for head in range(num_heads):
        part = slice(head * width, (head + 1) * width)
        scores = [(query @ of_query[:, part]) @ (step @ of_key[:, part]) for step in x]
        mixed = np.zeros(len(of_key))
        for a, step in zip(softmax(scores), x, strict=True):
            mixed = mixed + a * step
        heads.append(mixed)
    return np.concatenate(heads)


def search_scores(weights, query, keys, *, name):
    """keys: list of float (D,). Equation 1 of SIM: (W_b e_i) . (W_a e_a) for each."""
    candidate, step = weights[f"{name}/candidate"], weights[f"{name}/step"]
    return [float((k @ step) @ (query @ candidate)) for k in keys]


def best(scores, num):
    """Places of the highest scores, the earlier of equal ones."""
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:num]


def evenly_spaced(length, num):
    return list(range(length)) if length <= num else [i * length // num for i in range(num)]


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


def interacting(weights, fields, *, name, num_heads, residual, scaling, layer_norm=False):
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
    if layer_norm:
        gamma, beta = (weights[f"{name}/layer_norm/{part}"] for part in ("gamma", "beta"))
        out = np.array([gamma * (field - field.mean()) / np.sqrt(field.var() + 1e-5) + beta for field in out])
    return np.maximum(out, 0)


def assert_weights_follow_the_seed(build):
    """The same seed gives the same initial weights, and another one others wherever they are drawn."""
    first, again, other = (_initial_weights(build, seed) for seed in (1, 1, 2))
    for path, values in first.items():
        np.testing.assert_array_equal(values, again[path], err_msg=path)
        drawn = len(np.unique(values)) > 2  # zeros, ones, an identity matrix
        assert not (drawn and np.array_equal(values, other[path])), path


def _initial_weights(build, seed: int) -> dict:
    keras.utils.set_random_seed(seed)
    return {weight.path: weight.numpy() for weight in build().weights if weight.dtype == "float32"}
