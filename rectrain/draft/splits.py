"""How rows are divided into train, valid and test so that each gets both classes of each label."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rectrain.data.randoms import random_fractions

_FRACTIONS = ((0.8, 0.1, 0.1), (0.6, 0.2, 0.2))
_SEEDS = range(20)


@dataclass(frozen=True)
class Split:
    """settings: data.split; works: whether each split of the rows looked at has what it needs."""

    settings: dict
    reason: str
    works: bool = True


def choose(times: np.ndarray | None, labels: list[np.ndarray]) -> Split:
    """The first way to split that gives each split rows, and of labels of 0 and 1 both.

    Args:
        times: float (N,); None: no column holds them.  labels: float (N,) each.
    """
    num_rows = len(labels[0])
    for split, codes in _candidates(times, num_rows):
        if all(_has_both(codes, column) for column in labels):
            return split
    return Split({"by": "random"}, "too few rows of a class for three splits: training will refuse this", works=False)


def _candidates(times: np.ndarray | None, num_rows: int) -> Iterator[tuple[Split, np.ndarray]]:
    for fractions in _FRACTIONS if times is not None else ():
        settings = {"by": "time", **_unless_default(fractions)}
        yield Split(settings, "the oldest rows train: numbers are honest about the future"), _by_time(times, fractions)
    why = "no column tells the time" if times is None else "by time a split would lack rows of a class"
    for fractions in _FRACTIONS:
        for seed in _SEEDS:
            settings = {"by": "random", "seed": seed, **_unless_default(fractions)}
            reason = f"{why}; if the rows are in order of time, say by: order"
            yield Split(settings, reason), _codes(random_fractions(seed, 0, num_rows), fractions)


def _unless_default(fractions: tuple) -> dict:
    return {} if fractions == _FRACTIONS[0] else dict(zip(("train", "valid", "test"), fractions, strict=True))


def _by_time(times, fractions: tuple) -> np.ndarray:
    ordered = np.sort(times)
    starts = ordered[[int(fractions[0] * len(ordered)), int((fractions[0] + fractions[1]) * len(ordered))]]
    return (times >= starts[0]).astype(int) + (times >= starts[1])


def _codes(x: np.ndarray, fractions: tuple) -> np.ndarray:
    return (x >= fractions[0]).astype(int) + (x >= fractions[0] + fractions[1])


def _has_both(codes: np.ndarray, labels: np.ndarray) -> bool:
    """Whether each split has rows of two values of the label."""
    return all(len(np.unique(labels[codes == split])) > 1 for split in range(3))
