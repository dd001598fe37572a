"""Confidence intervals, in NumPy alone. Shape letters: B replicates, K blocks, N rows, S columns."""

from math import erfc, exp, log, sqrt
from statistics import NormalDist

import numpy as np

NUM_REPLICATES = 1000
MAX_BLOCKS = 1024  # the standard deviation of 1024 block sums is known to 2.2 %, however many rows they hold


def normal_quantile(level):
    """z with P(-z < Z < z) = level."""
    return NormalDist().inv_cdf((1 + level) / 2)


def student_quantile(level, freedom):
    """t with P(-t < T < t) = level.

    Few degrees of freedom (1 or more, also between whole numbers): with T = sqrt(freedom) tan(angle), the density of
    the angle goes as cos(angle) ^ (freedom - 1), which is summed up. From 30 on a series, right to 5 digits.

    Source of the series: Abramowitz & Stegun 1964, "Handbook of Mathematical Functions", 26.7.5.
    """
    if freedom < 30:
        angles = np.linspace(0, np.pi / 2, 20_001)
        density = np.cos(angles) ** (freedom - 1)
        shares = np.concatenate([[0], np.cumsum(density[1:] + density[:-1])])
        return sqrt(freedom) * float(np.tan(np.interp(level, shares / shares[-1], angles)))
    z = normal_quantile(level)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))


def two_sided_p(difference, error):
    """P of a normal difference at least this far from 0; 1 for no difference, even with no error."""
    if difference == 0:
        return 1.0
    return erfc(abs(difference) / error / sqrt(2)) if error > 0 else 0.0


def log_interval(value, error, quantile):
    """value * exp(-+ quantile * relative error): above 0, and right-skewed as means of losses and counts are."""
    factor = exp(quantile * error / value)
    return value / factor, value * factor


def logit_interval(value, error, quantile):
    """Symmetric in log(value / (1 - value)): inside (0, 1), and wider towards 1/2."""
    middle, half = log(value / (1 - value)), quantile * error / (value * (1 - value))
    return _sigmoid(middle - half), _sigmoid(middle + half)


def wilson_interval(rate, trials, level):
    """Score interval of a binomial rate; has a width at 0 and 1 too.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    Args:
        rate, trials: float, of any one shape.
    """
    z2 = normal_quantile(level) ** 2
    middle = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    half = np.sqrt(z2 * (rate * (1 - rate) / trials + z2 / (4 * trials**2))) / (1 + z2 / trials)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def bootstrap_interval(statistic, columns, level, seed):
    """Percentile bootstrap of a function of column sums, at a cost that hardly grows with the rows.

    Rows are thrown at random into at most MAX_BLOCKS blocks and the blocks are drawn with replacement: sums of
    independent rows vary as much by blocks as by rows. With few blocks the percentiles reach further out, as Student's
    t does.

    Source: Hesterberg 2015, "What Teachers Should Know About the Bootstrap", section 5.3 (expanded percentiles).
    Args:
        statistic: from the sum of each column, (B,) each, to values (B,); those not finite are left out.
        columns: S numeric arrays (N,), N >= 2; what each independent row adds to the sums.
    """
    rng = np.random.default_rng(seed)
    columns_SK = _block_sums(columns, rng)
    num_blocks = len(columns_SK[0])
    draws_BK = rng.integers(num_blocks, size=(NUM_REPLICATES, num_blocks))
    with np.errstate(divide="ignore", invalid="ignore"):
        values_B = statistic(*(column_K[draws_BK].sum(axis=1) for column_K in columns_SK))
    spread = sqrt(num_blocks / (num_blocks - 1)) * student_quantile(level, num_blocks - 1)
    tail = NormalDist().cdf(-spread)
    return np.quantile(values_B[np.isfinite(values_B)], [tail, 1 - tail])


def _block_sums(columns, rng):
    num_rows = len(columns[0])
    if num_rows <= MAX_BLOCKS:
        return columns
    block_N = rng.integers(MAX_BLOCKS, size=num_rows, dtype=np.int32)
    return [np.bincount(block_N, weights=column_N, minlength=MAX_BLOCKS) for column_N in columns]


def _sigmoid(x):
    return (1 + np.tanh(x / 2)) / 2
