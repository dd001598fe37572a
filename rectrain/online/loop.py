"""The loop over a stream: score, learn, tell, save."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import numpy as np

from rectrain.config import StreamConfig
from rectrain.data.row_groups import Rows
from rectrain.errors import InputError
from rectrain.online import state as states
from rectrain.online.progressive import Progressive
from rectrain.online.state import OnlineState
from rectrain.online.stream import Buffer, Part
from rectrain.plain_files import read_arrays
from rectrain.tasks import Task

_FIRST_REPORT = 1_000
_MOST_ROWS = 65_536  # learned from between two looks at the clock and at signals


class Learner(Protocol):
    row_by_row: bool  # learns from one row after another, however many it is given

    def learn(self, rows: Rows) -> dict[str, np.ndarray]:
        """Probabilities before each row was learned from, {task: float (N,)}."""

    def sparsity(self) -> dict:
        """nonzero_weights, weights and what the learner knows besides."""

    def save(self, folder: Path):
        """Raises OSError where the folder cannot be written."""

    def restore(self, folder: Path, num_rows: int): ...


class Loop:
    """Goes through a stream once.

    Args:
        fixed: the parts of the config that a state can only be used with.
        on_window: hears of each line of the table.
        stopped: whether a signal asked to end; what was learned is saved then.
    """

    def __init__(
        self,
        config: StreamConfig,
        learner: Learner,
        tasks: list[Task],
        folder: Path,
        fixed: dict,
        *,
        on_window: Callable[[dict], None],
        stopped: Callable[[], bool],
    ):
        self._config, self._learner, self._tasks, self._folder = config, learner, tasks, folder
        self._on_window, self._stopped = on_window, stopped
        self.state = OnlineState(fixed, next_report=config.window or _FIRST_REPORT)
        self.progressive = {task.name: Progressive() for task in tasks}
        self.seconds = 0.0  # of this run
        self._rows_at_start = 0

    def restore(self):
        """Goes on from what was saved, where something was."""
        found = states.load(self._folder, self.state.fixed)
        if found is None:
            return
        self.state, place = found
        states.check_tasks(self.state, list(self.progressive), place)
        try:
            self._learner.restore(place, self.state.rows)
            for name, progressive in self.progressive.items():
                progressive.restore(read_arrays(place / f"progressive-{name}.npz", like=progressive.arrays()))
        except InputError:
            raise
        except (OSError, ValueError) as error:
            raise InputError(f"{place} is damaged ({error}); expected the state that an online run left.") from error

    @property
    def rows_of_this_run(self) -> int:
        return self.state.rows - self._rows_at_start

    def run(self, parts: Iterable[Part]):
        """Raises InputError where scores are not finite, or the state cannot be written."""
        buffer = Buffer(self.state.done)
        self._rows_at_start = self.state.rows
        started, seconds_before = time.monotonic(), self.state.seconds
        last_save = started

        def clock():
            self.seconds = time.monotonic() - started
            self.state.seconds = seconds_before + self.seconds

        for part in parts:
            buffer.add(part)
            self._learn_whole(buffer, clock)
            if time.monotonic() - last_save >= self._config.save_every_s:
                self._save(buffer)
                last_save = time.monotonic()
            if self._stopped():
                break
        if not self._stopped():
            while buffer.num_rows:
                self._learn(buffer.take(self._size()), clock)
        clock()
        if self._of_last_window() < self.state.rows:
            self._tell()
        self._save(buffer)

    def _of_last_window(self) -> int:
        return self.state.windows[-1]["rows"] if self.state.windows else 0

    def _learn_whole(self, buffer: Buffer, clock):
        """All rows but those that do not fill a batch."""
        least = 1 if self._learner.row_by_row else self._config.batch_size
        while buffer.num_rows >= least and not self._stopped():
            self._learn(buffer.take(self._size()), clock)

    def _size(self) -> int:
        if self._learner.row_by_row:
            return min(self.state.next_report - self.state.rows, _MOST_ROWS)
        return self._config.batch_size

    def _learn(self, rows: Rows, clock):
        scores = self._learner.learn(rows)
        for task in self._tasks:
            counts = slice(None) if task.given is None else rows["labels"][:, task.given] == 1
            if not np.isfinite(scores[task.name]).all():
                raise self._diverged(task)
            self.progressive[task.name].add(rows["labels"][counts, task.column], scores[task.name][counts])
        self.state.rows += len(rows["labels"])
        if self.state.rows >= self.state.next_report:
            clock()
            self._tell()

    def _diverged(self, task: Task) -> InputError:
        return InputError(
            f"the scores of task {task.name} are not finite after {self.state.rows:,} rows. Lower optimizer.alpha or "
            "optimizer.learning_rate, or transform numeric features of wide range. What was saved before is kept."
        )

    def _tell(self):
        entry = {
            "rows": self.state.rows,
            "seconds": self.state.seconds,
            "window": {name: p.window() for name, p in self.progressive.items()},
            "overall": {name: p.overall() for name, p in self.progressive.items()},
            **self._learner.sparsity(),
        }
        self.state.windows.append(entry)
        while self.state.next_report <= self.state.rows:
            self.state.next_report = self._next_report()
        self._on_window(entry)

    def _next_report(self) -> int:
        return (
            2 * self.state.next_report if self._config.window is None else self.state.next_report + self._config.window
        )

    def _save(self, buffer: Buffer):
        self.state.done, self.state.quarantine = buffer.place(), buffer.marks or self.state.quarantine

        def write(folder: Path):
            self._learner.save(folder)
            for name, progressive in self.progressive.items():
                np.savez(folder / f"progressive-{name}.npz", allow_pickle=False, **progressive.arrays())

        states.save(self._folder, self.state, write)
