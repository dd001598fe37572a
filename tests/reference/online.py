"""Logistic regression learned row by row in plain Python: one row, one coordinate, one formula after another."""

import math

import numpy as np


class Linear:
    """Weights [w, z, n] by coordinate, kept as `kept` (np.float32 or np.float64); the last one is the bias."""

    def __init__(self, num_coordinates, *, kept, num_before=0):
        self.state, self.kept = np.zeros((num_coordinates, 3), kept), kept
        self.num_rows = num_before

    def learn(self, ids, values, labels, weights):
        """Probabilities before each row. ids: int (N, M), -1 is no value.  values: (N, M), or None: all are 1."""
        scores = []
        for i, row in enumerate(ids):
            there = [j for j, c in enumerate(row) if c >= 0]
            present = [(int(row[j]), 1.0 if values is None else float(values[i][j])) for j in there]
            present.append((len(self.state) - 1, 1.0))
            logit = sum(float(self.state[c, 0]) * x for c, x in present)
            scores.append(math.exp(logit) / (1 + math.exp(logit)))
            self.num_rows += 1
            if weights[i] == 0:
                continue
            error = (scores[-1] - float(labels[i])) * float(weights[i])
            for c, x in present:
                self.state[c] = self.moved(*map(float, self.state[c]), error * x, c == len(self.state) - 1)
        return np.array(scores)


class Ftrl(Linear):
    """McMahan et al. 2013, Algorithm 1."""

    def __init__(self, num_coordinates, *, alpha, beta, lambda1, lambda2, **kwargs):
        super().__init__(num_coordinates, **kwargs)
        self.alpha, self.beta, self.lambda1, self.lambda2 = alpha, beta, lambda1, lambda2

    def moved(self, w, z, n, g, is_bias):
        l1 = 0.0 if is_bias else self.lambda1
        sigma = (math.sqrt(n + g * g) - math.sqrt(n)) / self.alpha
        z, n = z + g - sigma * w, n + g * g
        if abs(z) <= l1:
            return 0.0, z, n
        rate = 1 / ((self.beta + math.sqrt(n)) / self.alpha + self.lambda2)
        return -rate * (z - math.copysign(l1, z)), z, n


class GradientDescent(Linear):
    """Zinkevich 2003, with the truncation of Langford et al. 2009."""

    def __init__(self, num_coordinates, *, learning_rate, rates, lambda1, **kwargs):
        super().__init__(num_coordinates, **kwargs)
        self.learning_rate, self.rates, self.lambda1 = learning_rate, rates, lambda1

    def moved(self, w, z, n, g, is_bias):
        rate = self.learning_rate
        if self.rates == "inverse_sqrt":
            rate *= self.num_rows**-0.5
        if self.rates == "per_coordinate":
            n += g * g
            rate = rate / math.sqrt(n) if n > 0 else 0.0
        w -= rate * g
        pull = 0.0 if is_bias else rate * self.lambda1
        return (w - pull if w > pull else w + pull if w < -pull else 0.0), z, n


def admitted(ids, threshold):
    """ids with -1 for what has not come `threshold` times, this time included; counted in a dictionary."""
    counts, left = {}, []
    for row in ids:
        for c in row:
            counts[c] = counts.get(c, 0) + 1
            left.append(c if c >= 0 and counts[c] >= threshold else -1)
    return np.array(left, np.int32).reshape(np.shape(ids))
