"""Optimizers, schedule and the grouped step written row by row in NumPy float64."""

import math

import numpy as np


class Adam:
    """Kingma and Ba 2015, Algorithm 1; `rows` says which rows move."""

    def __init__(self, weight, *, learning_rate, beta1, beta2, epsilon):
        self.weight, self.learning_rate = weight, learning_rate
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.m, self.v, self.t = np.zeros_like(weight), np.zeros_like(weight), 0

    def step(self, gradient, rows, factor=1.0):
        self.t += 1
        for r in rows:
            self.m[r] = self.beta1 * self.m[r] + (1 - self.beta1) * gradient[r]
            self.v[r] = self.beta2 * self.v[r] + (1 - self.beta2) * gradient[r] ** 2
            m_hat = self.m[r] / (1 - self.beta1**self.t)
            v_hat = self.v[r] / (1 - self.beta2**self.t)
            self.weight[r] -= factor * self.learning_rate * m_hat / (np.sqrt(v_hat) + self.epsilon)


class DenseAdam(Adam):
    def step(self, gradient, rows, factor=1.0):
        super().step(gradient, range(len(self.weight)), factor)


class Adagrad:
    def __init__(self, weight, *, learning_rate, initial_accumulator_value, epsilon):
        self.weight, self.learning_rate, self.epsilon = weight, learning_rate, epsilon
        self.n = np.full_like(weight, initial_accumulator_value)

    def step(self, gradient, rows, factor=1.0):
        for r in rows:
            self.n[r] += gradient[r] ** 2
            self.weight[r] -= factor * self.learning_rate * gradient[r] / (np.sqrt(self.n[r]) + self.epsilon)


class RowwiseAdagrad(Adagrad):
    """One accumulator a row of a table; other weights as under Adagrad."""

    def __init__(self, weight, *, is_table, **knobs):
        super().__init__(weight, **knobs)
        self.is_table = is_table

    def step(self, gradient, rows, factor=1.0):
        if not self.is_table:
            super().step(gradient, rows, factor)
            return
        for r in rows:
            self.n[r] += sum(g**2 for g in gradient[r]) / len(gradient[r])
            self.weight[r] -= factor * self.learning_rate * gradient[r] / (math.sqrt(self.n[r][0]) + self.epsilon)


class SGD:
    """Langford, Li and Zhang 2009, one coordinate at a time; rates of Zinkevich 2003 and Duchi et al. 2011."""

    def __init__(self, weight, *, learning_rate, rates, lambda1):
        self.weight, self.learning_rate, self.rates, self.lambda1 = weight, learning_rate, rates, lambda1
        self.n, self.t = np.zeros_like(weight), 0

    def step(self, gradient, rows, factor=1.0):
        self.t += 1
        for r in rows:
            for i in np.ndindex(self.weight[r].shape):
                self._move((r, *i), gradient[(r, *i)], factor * self.learning_rate)

    def _move(self, i, g, rate):
        self.n[i] += g**2
        if self.rates == "inverse_sqrt":
            rate = rate / math.sqrt(self.t)
        if self.rates == "per_coordinate":
            rate = rate / math.sqrt(self.n[i]) if self.n[i] > 0 else 0.0
        w = self.weight[i] - rate * g
        self.weight[i] = max(0.0, w - rate * self.lambda1) if w >= 0 else min(0.0, w + rate * self.lambda1)


class Ftrl:
    """McMahan et al. 2013, Algorithm 1, one coordinate at a time; no schedule moves it. Groups: Yue et al. 2021."""

    def __init__(self, weight, *, alpha, beta, lambda1, lambda2, lambda_group, is_table):
        self.weight, self.alpha, self.beta, self.lambda1, self.lambda2 = weight, alpha, beta, lambda1, lambda2
        self.lambda_group = lambda_group if is_table and weight.shape[1] > 1 else 0.0
        self.z, self.n = -weight * (beta / alpha + lambda2), np.zeros_like(weight)

    def step(self, gradient, rows, factor=1.0):
        del factor
        for r in rows:
            shrunk = np.zeros_like(self.weight[r])
            for i in np.ndindex(shrunk.shape):
                shrunk[i] = self._add(r, i, gradient[r][i])
            self._set_row(r, shrunk)

    def _add(self, r, i, g):
        z, n = self.z[r], self.n[r]  # views
        if z.ndim == 0:
            z, n, i = self.z, self.n, (r,)
        weight = self.weight[r][i] if self.weight[r].ndim else self.weight[r]
        z[i] += g - (math.sqrt(n[i] + g**2) - math.sqrt(n[i])) / self.alpha * weight
        n[i] += g**2
        return 0.0 if abs(z[i]) <= self.lambda1 else np.sign(z[i]) * self.lambda1 - z[i]

    def _set_row(self, r, shrunk):
        if self.lambda_group:
            norm, threshold = math.sqrt((shrunk**2).sum()), self.lambda_group * math.sqrt(shrunk.size)
            shrunk = shrunk * (1 - threshold / norm) if norm > threshold else np.zeros_like(shrunk)
        self.weight[r] = shrunk / ((self.beta + np.sqrt(self.n[r])) / self.alpha + self.lambda2)


TWINS = {
    "lazy_adam": Adam,
    "adam": DenseAdam,
    "adagrad": Adagrad,
    "rowwise_adagrad": RowwiseAdagrad,
    "sgd": SGD,
    "ftrl": Ftrl,
}


def twin(name, weight, path, **knobs):
    """The twin of rectrain/optimizers/<name>.py on a float64 copy of the weight."""
    if name in ("ftrl", "sgd") and path.endswith("bias"):
        knobs["lambda1"] = 0.0
    if name in ("ftrl", "rowwise_adagrad"):
        knobs["is_table"] = path.endswith("/table")
    return TWINS[name](np.array(weight, np.float64), **knobs)


def summed(gradient, shape):
    """(dense gradient, rows that move); a sparse gradient is (ids (N,), values (N, D))."""
    if not isinstance(gradient, tuple):
        return np.asarray(gradient, np.float64), range(shape[0])
    ids, values = gradient
    total = np.zeros(shape)
    for i, value in zip(ids, values, strict=True):
        total[i] += value
    return total, sorted(set(ids.tolist()))


def grouped_step(twins, gradients, config, factor, occurrences):
    """L2, clipping, update.

    Args:
        twins: {path: twin}.  gradients: {path: as in `summed`}.
        config: the common keys of the optimizer section.  factor: of the learning rate at this step.
        occurrences: {path of a table: of each row}.
    """
    moves = {}
    for path, gradient in gradients.items():
        weight = twins[path].weight
        total, rows = summed(gradient, weight.shape)
        l2 = config["l2_embedding"] if path.endswith("/table") else config["l2_dense"]
        if l2 > 0 and config["regularize"] == "table":
            rows = range(weight.shape[0])
        rare = path.endswith("/table") and config["regularize"] == "frequency"
        for r in rows:
            total[r] += l2 * weight[r] / (occurrences[path][r] if rare else 1)
        moves[path] = total, rows
    scale = 1.0
    if config["clip_norm"] is not None:
        norm = math.sqrt(sum((total**2).sum() for total, _ in moves.values()))
        scale = min(1.0, config["clip_norm"] / norm)
    for path, (total, rows) in moves.items():
        twins[path].step(scale * total, rows, factor)


def schedule_factor(k, *, warmup_steps, decay, decay_steps, final_fraction):
    """Fraction of the learning rate at step k = 0, 1, ..."""
    if k < warmup_steps:
        return (k + 1) / warmup_steps
    if decay == "constant":
        return 1.0
    if decay == "inverse_sqrt":
        return math.sqrt(max(warmup_steps, 1) / (k + 1))
    steps = max(decay_steps - 1 - warmup_steps, 1)
    progress = min((k - warmup_steps) / steps, 1.0)
    if decay == "linear":
        return 1.0 + progress * (final_fraction - 1.0)
    return final_fraction + (1.0 - final_fraction) * 0.5 * (1.0 + math.cos(math.pi * progress))
