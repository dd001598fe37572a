"""A built-in sample of two numbers a row, whose tasks are as akin as its truth says.

A row is a point x of NUM_FEATURES dimensions, x ~ N(0, I). The weight vectors of both tasks have length LENGTH and
an angle whose cosine is the task correlation p; beyond that the tasks are the same function of their projection:

    w_1 = LENGTH * u_1        w_2 = LENGTH * (p * u_1 + sqrt(1 - p^2) * u_2)        u_1, u_2: orthogonal unit vectors
    y_k = w_k . x + sum_i sin(alpha_i * w_k . x + beta_i) + e_k        e_k ~ N(0, NOISE^2)

The paper names no values of the length and of the sines' parameters. Here alpha_i are ALPHAS and beta_i is uniform in
[0, 2 pi). The sines of the two tasks have a correlation of about exp(-(LENGTH * alpha_i)^2 (1 - p)), so fast ones have
parted at p = .9 already. With LENGTH * alpha = 1.5 it is 1, .80 and .32 at p = 1, .9 and .5: each truth is less akin
than the one before. For one seed u, beta, x and e are the same under every truth, so that samples differ by p alone.

Source: Ma et al. 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD,
section 3.2.

Letters: N rows, D features, K = 2 tasks, S sines.
"""

import math
from dataclasses import dataclass

import numpy as np

from rectrain.data.behaviour_sample import DrawnLog, LogLayout, to_csv

NUM_FEATURES = 16
ALPHAS = (1.0,)
LENGTH = 1.5
NOISE = 0.1  # standard deviation
CORRELATIONS = {"p1": 1.0, "p0.9": 0.9, "p0.5": 0.5}  # by truth


@dataclass(frozen=True)
class Function:
    """The labels of a point but for the noise."""

    weights: np.ndarray  # float64 (D, K)
    betas: np.ndarray  # float64 (S,)

    @staticmethod
    def draw(correlation: float, rng: np.random.Generator) -> "Function":
        units_D2, _ = np.linalg.qr(rng.standard_normal((NUM_FEATURES, 2)))
        mixed_D = correlation * units_D2[:, 0] + math.sqrt(1 - correlation**2) * units_D2[:, 1]
        weights = LENGTH * np.stack([units_D2[:, 0], mixed_D], axis=1)
        return Function(weights, rng.uniform(0, 2 * math.pi, len(ALPHAS)))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """float64 (N, K) of x, float (N, D)."""
        projected_NK = x @ self.weights
        return projected_NK + np.sin(projected_NK[..., None] * ALPHAS + self.betas).sum(axis=-1)


def draw(layout: str, *, rows: int, seed: int, truth: str | None) -> DrawnLog:
    """The same arguments give the same bytes."""
    return LAYOUTS[layout].draw(rows, np.random.default_rng(seed), truth)


def _draw(num_rows: int, rng: np.random.Generator, truth: str | None) -> DrawnLog:
    assert truth is not None
    function_rng, rows_rng = rng.spawn(2)
    function = Function.draw(CORRELATIONS[truth], function_rng)
    x = rows_rng.standard_normal((num_rows, NUM_FEATURES), np.float32)
    y = function(x) + NOISE * rows_rng.standard_normal((num_rows, 2))
    columns = {f"x{i + 1}": x[:, i] for i in range(NUM_FEATURES)} | {f"y{k + 1}": y[:, k] for k in range(2)}
    return DrawnLog(to_csv(columns, header=True), {})


LAYOUTS = {"mmoe_synthetic": LogLayout("mmoe_synthetic.csv", _draw, tuple(CORRELATIONS))}
