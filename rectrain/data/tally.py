"""How many rows and positives each split has, and whether that is enough to train and to score on."""

from collections.abc import Callable, Mapping

import numpy as np

from rectrain.config import DataConfig
from rectrain.data.split import SPLITS
from rectrain.errors import InputError


class Tally:
    """
    Args:
        labels: names.  numbers: those that are numbers, which have no classes.
        negatives: how many sampled rows of label 0 come with each row.
    """

    def __init__(self, labels, negatives: int = 0, numbers: tuple[str, ...] = ()):
        self._labels = list(labels)
        self._numbers = numbers
        self._copies = 1 + negatives
        self._rows = np.zeros(len(SPLITS), np.int64)
        self._positives = np.zeros((len(SPLITS), len(self._labels)), np.int64)

    def add(self, codes: np.ndarray, labels: np.ndarray):
        """codes: int (N,), positions in SPLITS.  labels: float (N, K)."""
        self._rows += self._copies * np.bincount(codes, minlength=len(SPLITS))
        for k, name in enumerate(self._labels):
            if name not in self._numbers:
                counts = np.bincount(codes, weights=labels[:, k], minlength=len(SPLITS))
                self._positives[:, k] += counts.astype(np.int64)

    def state(self) -> dict[str, np.ndarray]:
        return {"rows": self._rows, "positives": self._positives}

    def absorb(self, state: Mapping[str, np.ndarray]):
        self._rows += state["rows"]
        self._positives += state["positives"]

    def rows(self) -> dict[str, int]:
        """Of the splits that have any."""
        return {name: int(rows) for name, rows in zip(SPLITS, self._rows, strict=True) if rows}

    def positives(self) -> dict[str, dict[str, int]]:
        """split -> label -> rows where it is 1; labels that are numbers are left out."""
        counts = dict(zip(SPLITS, self._positives.tolist(), strict=True))
        return {
            split: {
                label: n for label, n in zip(self._labels, counts[split], strict=True) if label not in self._numbers
            }
            for split in self.rows()
        }

    def check(self, data: DataConfig, expected: list[str], say: Callable[[str], object]):
        """Says which label has a single class in an expected split.

        Raises:
            InputError: an expected split has no rows, or a label a single class: in all rows, or the only label in a
                split.
        """
        rows, positives = self.rows(), self.positives()
        for k, label in enumerate(self._labels):
            if label not in self._numbers and self._positives[:, k].sum() in (0, self._rows.sum()):
                raise self._one_class(label, int(self._positives[:, k].sum() > 0))
        for name in expected:
            if name not in rows:
                raise InputError(
                    f"data.split.by={data.split.by} puts none of {self._rows.sum():,} rows into {name}; expected at"
                    f" least two. {_remedy(data, name)}"
                )
            for label, count in positives[name].items():
                if count in (0, rows[name]):
                    what = f"data.labels.{label}: {count:,} of {rows[name]:,} rows of the split {name} are positive"
                    if len(self._labels) == 1:
                        raise InputError(f"{what}; training and scoring need both classes. {_remedy(data, name)}")
                    say(f"warning: {what}: no AUC of it there. {_remedy(data, name)}")

    def _one_class(self, label, value) -> InputError:
        return InputError(
            f"data.labels.{label}: all {self._rows.sum():,} rows are {value}; training and scoring need both classes."
            f" Is data.labels.{label} the column of the label, and are these all the files (data.files)?"
        )


def _remedy(data, name):
    if data.split.by == "files":
        key = f"data.split.files.{name}"
    elif data.split.by == "time" and data.split.valid_from is not None:
        key = "data.split.valid_from and data.split.test_from"
    else:
        key = f"data.split.{name}"
    return f"Change {key}, or split in another way with data.split.by."
