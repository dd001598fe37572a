"""What a run said of each row of a split, kept beside its report: runs are compared row by row without their models."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rectrain.errors import InputError
from rectrain.evaluation.evaluate import Scored
from rectrain.run_dir import fill_whole
from rectrain.tasks import Task


def write_scores(path: Path, scored: Scored, labels: list[str]):
    """Columns label_<label> and score_<task>, float32, a row each in the order of the split; whole or as it was.

    Raises:
        OSError: the folder cannot be written.
    """
    of_labels = {f"label_{name}": scored.labels[:, column] for column, name in enumerate(labels)}
    of_tasks = {f"score_{task}": values for task, values in scored.probabilities.items()}
    table = pa.table(of_labels | of_tasks)
    fill_whole(path, lambda aside: pq.write_table(table, aside, compression="zstd", use_dictionary=list(of_labels)))


@dataclass(frozen=True)
class KeptScores:
    """Read column by column: 4 bytes a row of each that is asked for."""

    path: Path
    labels: list[str]  # of the data set, as Task.column counts them

    def of(self, task: Task) -> tuple[np.ndarray, np.ndarray]:
        """Labels and predictions, float32, of the rows that count for a task.

        Raises:
            InputError: the file is missing or damaged.
        """
        labels, scores = self._column(f"label_{task.label}"), self._column(f"score_{task.name}")
        if task.given is None:
            return labels, scores
        counts = self._column(f"label_{self.labels[task.given]}") == 1
        return labels[counts], scores[counts]

    def _column(self, name: str) -> np.ndarray:
        try:
            return pq.read_table(self.path, columns=[name])[name].to_numpy()
        except (OSError, KeyError, pa.ArrowException) as error:
            raise InputError(
                f"{self.path} is missing or damaged ({error}). Score the split again: run it with resume=true in "
                "another folder, or leave the run out."
            ) from error
