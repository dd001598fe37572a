"""AUC of more rows than memory holds: exact, by an external sort.

A row is one uint32, the bits of its probability above its label, so 1e9 rows are 4 GB on disk. Runs of RUN_KEYS are
sorted in memory and written; they are then read back in ranges of the score, each again of about RUN_KEYS keys (more
only where one single score has more).
"""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from rectrain.evaluation.metrics import (
    Estimate,
    Tally,
    auc_of_tallies,
    check_probabilities,
    count_keys,
    float_codes,
    sort_keys,
)

RUN_KEYS = 2**25  # 128 MiB; working space is about fifteen times as much
_QUANTILES_OF_A_RUN = 256


def auc_of_blocks(
    blocks: Iterable[tuple], *, level: float = 0.95, folder: Path | None = None, run_keys: int = RUN_KEYS
) -> Estimate:
    """`metrics.auc` of all blocks together: the same value and interval, in memory that does not grow with the rows.

    Args:
        blocks: (labels, 0 or 1, (N,); probabilities, rounded to float32, (N,)) each.
        folder: where the runs are kept meanwhile, 4 bytes a row; None: the system's folder of temporary files.
        run_keys: rows sorted at a time.
    Raises:
        UndefinedMetricError: the labels hold one class.
        InputError: a label is not 0 or 1, or a score is not a probability.
        OSError: no room in `folder`.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix="auc-") as runs_folder:
        runs = [_write(run, Path(runs_folder) / f"{i}.u32") for i, run in enumerate(_runs(blocks, run_keys))]
        return auc_of_tallies(_Ranges(runs, run_keys), level)


def _runs(blocks, run_keys: int) -> Iterator[np.ndarray]:
    """Sorted keys, run_keys at a time."""
    held, num_held = [np.zeros(0, np.uint32)], 0
    for labels, scores in blocks:
        labels, scores = check_probabilities(labels, np.asarray(scores, np.float32))
        keys = sort_keys(float_codes(scores), labels)
        while num_held + len(keys) >= run_keys:
            room = run_keys - num_held
            yield _sorted([*held, keys[:room]])
            held, num_held, keys = [], 0, keys[room:]
        held.append(keys)
        num_held += len(keys)
    yield _sorted(held)


def _sorted(parts) -> np.ndarray:
    keys = np.concatenate(parts)
    keys.sort()
    return keys


def _write(run: np.ndarray, path: Path) -> np.ndarray:
    run.tofile(path)
    return np.memmap(path, np.uint32, mode="r") if run.size else run


class _Ranges:
    """The tallies of all runs merged, range by range of the score."""

    def __init__(self, runs: list[np.ndarray], run_keys: int):
        self._runs = runs
        self._ends = _range_ends(runs, run_keys)

    def __iter__(self) -> Iterator[Tally]:
        starts = [0] * len(self._runs)
        for end in self._ends:
            stops = [int(np.searchsorted(run, end)) for run in self._runs]
            keys = _sorted([run[a:b] for run, a, b in zip(self._runs, starts, stops, strict=True)])
            codes_U, positives, negatives = count_keys(keys)
            yield Tally(keys >> 1, codes_U.view(np.float32), positives, negatives)
            starts = stops


def _range_ends(runs: list[np.ndarray], run_keys: int) -> list[np.uint32]:
    """First keys behind each range, rising, even, so that both labels of a score fall into one range.

    A run's quantiles stand for equal numbers of its keys, so those of all runs together cut all keys about evenly.
    """
    quantiles = np.sort(np.concatenate([run[:: max(len(run) // _QUANTILES_OF_A_RUN, 1)] for run in runs]))
    num_ranges = -(-sum(map(len, runs)) // run_keys)
    cuts = quantiles[np.arange(1, num_ranges) * len(quantiles) // max(num_ranges, 1)] & ~np.uint32(1)
    return [*np.unique(cuts), np.uint32(2**32 - 1)]
