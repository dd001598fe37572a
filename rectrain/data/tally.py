"""How many rows and positives each split has, and whether that is enough to train and to score on."""

import numpy as np

from rectrain.config import DataConfig
from rectrain.data.split import SPLITS
from rectrain.errors import InputError


class Tally:
    """negatives: how many sampled rows of label 0 come with each row."""

    def __init__(self, tasks, negatives: int = 0):
        self._tasks = list(tasks)
        self._copies = 1 + negatives
        self._rows = np.zeros(len(SPLITS), np.int64)
        self._positives = np.zeros((len(SPLITS), len(self._tasks)), np.int64)

    def add(self, codes: np.ndarray, labels: np.ndarray):
        """codes: int (N,), positions in SPLITS.  labels: float (N, K), 0 or 1."""
        self._rows += self._copies * np.bincount(codes, minlength=len(SPLITS))
        for task, column in enumerate(labels.T):
            self._positives[:, task] += np.bincount(codes, weights=column, minlength=len(SPLITS)).astype(np.int64)

    def rows(self) -> dict[str, int]:
        """Of the splits that have any."""
        return {name: int(rows) for name, rows in zip(SPLITS, self._rows, strict=True) if rows}

    def positives(self) -> dict[str, dict[str, int]]:
        """split -> task -> rows of label 1."""
        counts = dict(zip(SPLITS, self._positives.tolist(), strict=True))
        return {name: dict(zip(self._tasks, counts[name], strict=True)) for name in self.rows()}

    def check(self, data: DataConfig, expected: list[str]):
        """Raises InputError where an expected split has no rows, or a label of it a single class."""
        rows, positives = self.rows(), self.positives()
        for k, task in enumerate(self._tasks):
            if self._positives[:, k].sum() in (0, self._rows.sum()):
                raise self._one_class(task, int(self._positives[:, k].sum() > 0))
        for name in expected:
            if name not in rows:
                raise InputError(
                    f"data.split.by={data.split.by} puts none of {self._rows.sum():,} rows into {name}; expected at"
                    f" least two. {_remedy(data, name)}"
                )
            for task, count in positives[name].items():
                if count in (0, rows[name]):
                    raise InputError(
                        f"data.labels.{task}: {count:,} of {rows[name]:,} rows of the split {name} are positive;"
                        f" training and scoring need both classes. {_remedy(data, name)}"
                    )

    def _one_class(self, task, value) -> InputError:
        return InputError(
            f"data.labels.{task}: all {self._rows.sum():,} rows are {value}; training and scoring need both classes. Is"
            f" data.labels.{task} the column of the label, and are these all the files (data.files)?"
        )


def _remedy(data, name):
    if data.split.by == "files":
        key = f"data.split.files.{name}"
    elif data.split.by == "time" and data.split.valid_from is not None:
        key = "data.split.valid_from and data.split.test_from"
    else:
        key = f"data.split.{name}"
    return f"Change {key}, or split in another way with data.split.by."
