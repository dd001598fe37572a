"""The outer loop: epochs, evaluations, the best checkpoint, when to stop.

The compiled inner steps are in steps.py.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from rectrain.config import TrainerConfig
from rectrain.console import say
from rectrain.data.batches import ALONE, Readers, Shuffle, batches
from rectrain.data.manifest import Prepared
from rectrain.errors import InputError
from rectrain.evaluation.evaluate import Scored, join_scored, score_rows, split_metrics
from rectrain.progress import Progress
from rectrain.signals import Signals
from rectrain.training.checkpoint import Checkpoints
from rectrain.training.gates import gate_figures
from rectrain.training.monitor import Monitor
from rectrain.training.steps import Steps
from rectrain.training.team import Alone

if TYPE_CHECKING:
    from rectrain.training.parameter_server import Workers

_GATE_BATCHES = 8


@dataclass
class Progression:
    """What a training run has done so far, in plain values, as its checkpoints hold them."""

    step: int = 0
    evaluations: list[dict] = field(default_factory=list)
    losses: list[list[float]] = field(default_factory=list)  # [step, mean loss since the point before]
    best_step: int | None = None
    stopped_because: str = ""
    train_seconds: float = 0.0  # without evaluations and checkpoints
    eval_rows: int = 0
    eval_seconds: float = 0.0
    attempts: list[dict] = field(default_factory=list)  # of each process: {started, prepare_seconds, seconds}
    rows_repeated: int = 0  # trained on again, after a worker of a cluster was lost

    def note_time(self):
        """Takes note of how long this process has been at it."""
        started = datetime.fromisoformat(self.attempts[-1]["started"])
        self.attempts[-1]["seconds"] = (datetime.now(UTC) - started).total_seconds()


class Trainer:
    """Trains until the steps are done or the validation metric stops improving.

    Args:
        monitor: None where there is no validation split; then the last weights are the result.
        team: the processes that train together.
        fixed: what decides the numbers of the run; a checkpoint of other values is refused.
        on_evaluation: hears of each evaluation as one dict of the history; says why training should end there, or None.
    """

    workers: "Workers | None" = None  # of a parameter-server cluster, which train and score; None: this process does

    def __init__(
        self,
        config: TrainerConfig,
        prepared: Prepared,
        steps: Steps,
        checkpoints: Checkpoints,
        monitor: Monitor | None,
        *,
        team: Alone,
        seed: int,
        fixed: dict,
        signals: Signals,
        on_evaluation: Callable[[dict], str | None],
    ):
        self.config, self.prepared, self.steps = config, prepared, steps
        self.checkpoints, self.monitor, self.seed, self.on_evaluation = checkpoints, monitor, seed, on_evaluation
        self.team, self.fixed, self.signals = team, fixed, signals
        self.readers = readers_of(config, team)
        self.done = Progression()
        self.steps_per_epoch = math.ceil(prepared.rows("train") / config.batch_size)
        self.total_steps = total_steps(config, prepared.rows("train"))
        self._last_save = time.monotonic()
        self._datasets: dict[str, tf.data.Dataset] = {}

    def begin(self, started: datetime, prepare_seconds: float, *, resume: bool = False):
        """One more process trains; with `resume` it goes on from the newest checkpoint that is whole, if there is one.

        Raises:
            InputError: the checkpoint is that of another config.
        """
        self.signals.hear_again()
        if resume:
            self._restore()
        self.done.attempts.append({"started": started.isoformat(), "prepare_seconds": prepare_seconds, "seconds": 0.0})

    def _restore(self):
        state = self.team.share(self.checkpoints.restore_newest(self.fixed) if self.team.is_chief else None)
        if state is None:
            if self.team.is_chief:
                self.checkpoints.clear()
            return
        if not self.team.is_chief:
            self.checkpoints.restore(state["step"])
        self.done = Progression(**state["done"])
        if self.monitor is not None:
            self.monitor.restore(state["monitor"])

    def run(self) -> Progression:
        """Trains, then sets the weights to the best checkpoint's.

        Raises:
            InputError: the loss is NaN or infinite; the best checkpoint so far is kept.
            StoppedError: a signal came; what was learned up to the last compiled call, or evaluation, is saved.
        """
        with self.team.naming_the_lost():
            if not self.done.stopped_because:
                self._train()
            assert self.done.best_step is not None  # the last step is always evaluated
            self.checkpoints.restore(self.done.best_step)
        return self.done

    def _train(self):
        iterator = None if self.workers else self._batches_to_come()
        before = self.rows_before(self.done.step)
        progress = Progress("train", self.rows_before(self.total_steps), say, done=before)
        # A signal to one of several processes waits until all have heard of it.
        with contextlib.nullcontext() if self._is_alone else self.signals.held(raises=False), progress:
            while not self.done.stopped_because:
                if self._evaluation_is_due():
                    self._evaluate()
                else:
                    self._call(iterator, progress)

    @property
    def _is_alone(self) -> bool:
        return self.team.num_members == 1

    def _evaluation_is_due(self) -> bool:
        """At this step there is an evaluation, which has not been made yet."""
        if self.done.step % self._every() and self.done.step != self.total_steps:
            return False
        return self.done.step > (self.done.evaluations[-1]["step"] if self.done.evaluations else 0)

    def _every(self) -> int:
        return self.config.eval_every_steps or self.steps_per_epoch

    def _next_stop(self) -> int:
        """The step up to which compiled calls may go: of an evaluation, the end of an epoch, or the last one."""
        step, every = self.done.step, self._every()
        return min(
            (step // every + 1) * every, (step // self.steps_per_epoch + 1) * self.steps_per_epoch, self.total_steps
        )

    def _batches_to_come(self):
        """One stream, so that the next epoch's rows are made ready while this one's last are trained on."""
        epoch, skip = divmod(self.done.step, self.steps_per_epoch)
        shuffle = Shuffle(self.seed, epoch, self.config.shuffle_rows, self.config.epochs - epoch)
        dataset = split_batches(
            self.prepared, "train", self.config.batch_size, self.steps.model, shuffle, skip, self.readers
        )
        return self.steps.distribute(dataset)

    def _call(self, iterator, progress: Progress):
        """One compiled call, or several of workers. A signal waits for its end, and until what it learned is saved."""
        with self.signals.held(raises=self._is_alone):
            started = time.perf_counter()
            for losses in self._losses(iterator):
                self.done.train_seconds += time.perf_counter() - started
                self._refuse_non_finite(losses)
                self._advance(losses, progress)
                started = time.perf_counter()
            stop, save = self.team.any(self.signals.any(), self._save_is_due())
            if stop or save:
                self._save()
        if stop:
            self.signals.stop()

    @property
    def weights_are_there(self) -> bool:
        """False where they were lost with a server that held a part of them."""
        return self.workers is None or not self.workers.lost

    def _losses(self, iterator) -> Iterator[np.ndarray]:
        """Those of one compiled call after the other, up to where something else is due."""
        first, stop = self.done.step, self._next_stop()
        if self.workers is None:
            yield self.steps.train(iterator, min(self.config.steps_per_call, stop - first))
            return
        before = self.workers.rows_trained()
        yield from self.workers.train(first, stop, lambda: self.signals.any() or self._save_is_due())
        num_rows = self.rows_before(self.done.step) - self.rows_before(first)
        self.done.rows_repeated += self.workers.rows_trained() - before - num_rows

    def _advance(self, losses: np.ndarray, progress: Progress):
        num_rows = self.rows_before(self.done.step + len(losses)) - self.rows_before(self.done.step)
        progress.advance(num_rows)
        progress.add_rows(num_rows, f"loss {losses.mean():.5g}")
        self.done.step += len(losses)
        self.done.losses.append([self.done.step, float(losses.mean())])

    def _save_is_due(self) -> bool:
        """By the clock, but not where an evaluation follows, which saves itself."""
        return time.monotonic() - self._last_save >= self.config.save_every_s and not self._evaluation_is_due()

    def _save(self):
        self.done.note_time()
        monitor = None if self.monitor is None else self.monitor.state
        state = {"fixed": self.fixed, "done": dataclasses.asdict(self.done), "monitor": monitor}
        self.checkpoints.save(self.done.step, state, self.done.best_step)
        self.team.share(None)  # it is there for all
        self._last_save = time.monotonic()

    def score(self, split: str) -> Scored | None:
        """Every row of a split, scored with the present weights; None where another process gets the scores."""
        started = time.perf_counter()
        num_rows = self.prepared.rows(split)
        progress = Progress(f"evaluate {split}", num_rows // self.team.num_members, say)
        with self.team.naming_the_lost(), progress:
            scored = self._scored(split, progress)
        self.done.eval_rows += num_rows
        self.done.eval_seconds += time.perf_counter() - started
        return scored

    def _scored(self, split: str, progress: Progress) -> Scored | None:
        if self.workers is not None:
            return join_scored(self.workers.score(split), progress)
        here = score_rows(self.steps.score, self._batches_of(split), progress)
        return here.gathered(self.team.gather_rows)

    def _batches_of(self, split: str):
        """In the order of the files. Made once: TensorFlow never forgets the functions of a data set, about 1 MB."""
        if split not in self._datasets:
            here = Readers(self.team.num_members, range(self.team.position, self.team.position + 1))
            self._datasets[split] = split_batches(
                self.prepared, split, self.config.eval_batch_size, self.steps.model, readers=here
            )
        return self._datasets[split]

    def rows_before(self, step: int) -> int:
        """Rows that the first `step` steps use; the last batch of an epoch may be short."""
        epochs, batches_of_epoch = divmod(step, self.steps_per_epoch)
        rows = self.prepared.rows("train")
        return epochs * rows + min(batches_of_epoch * self.config.batch_size, rows)

    def _refuse_non_finite(self, losses: np.ndarray):
        bad = np.flatnonzero(~np.isfinite(losses))
        if bad.size:
            raise self._diverged(self.done.step + int(bad[0]) + 1, f"the loss became {losses[bad[0]]}")

    def _diverged(self, step: int, what: str) -> InputError:
        num_rows = self.rows_before(step) - self.rows_before(step - 1)
        epoch, batch = divmod(step - 1, self.steps_per_epoch)
        first = batch * self.config.batch_size
        kept = f"The checkpoint of step {self.done.best_step} is kept." if self.done.best_step is not None else ""
        return InputError(
            f"{what} at step {step} (epoch {epoch + 1}, rows {first:,}-{first + num_rows - 1:,} of the "
            "shuffled epoch). Lower optimizer.learning_rate, set optimizer.clip_norm, or transform numeric features "
            f"of wide range. {kept}".rstrip()
        )

    def _evaluate(self):
        """Validation metrics, checkpoint, learning rate cut, early stop."""
        metrics = self._validation_metrics()
        value = self.monitor.value(metrics, "valid") if self.monitor else None
        best = self.monitor.improves(value) if self.monitor else True
        self.done.best_step = self.done.step if best else self.done.best_step
        entry = {
            "step": self.done.step,
            "epoch": self.done.step / self.steps_per_epoch,
            "seconds": self.done.train_seconds,
            "learning_rate": self.steps.optimizer.learning_rates(self.done.step - 1),
            "train_loss": self.done.losses[-1][1],
            "monitored": value,
            "valid": {t: {m: v["value"] for m, v in d.items() if isinstance(v, dict)} for t, d in metrics.items()},
            **self._gates(),
        }
        self.done.evaluations.append(entry)
        self._decide()
        with self.signals.held(raises=self._is_alone):
            self._save()
            self.end_because(self.on_evaluation(entry))
        if any(self.team.any(self.signals.any())):
            self.signals.stop()

    def end_because(self, reason: str | None):
        """Training ends here, unless it ends of itself; a checkpoint of this moment would go on."""
        self.done.stopped_because = self.done.stopped_because or reason or ""

    def _gates(self) -> dict:
        """How the gates listen to experts on the first rows of the validation split, where the model has any."""
        if self.monitor is None:
            return {}
        found = gate_figures(self.steps.model, self._batches_of("valid").take(_GATE_BATCHES))
        return {"gates": found} if found else {}

    def _validation_metrics(self) -> dict:
        if self.monitor is None:
            return {}
        scored = self.score("valid")
        if scored is None:
            return self.team.share(None)
        if not all(np.isfinite(p).all() for p in scored.probabilities.values()):
            raise self._diverged(self.done.step, "the scores of the validation split are not finite")
        return self.team.share(split_metrics(scored, self.steps.tasks, self.seed))

    def _decide(self):
        without_gain = self.monitor.evaluations_without_gain if self.monitor else 0
        schedule = self.config.schedule
        if schedule.plateau_factor is not None and without_gain and without_gain % schedule.plateau_patience == 0:
            self.steps.optimizer.scale(schedule.plateau_factor)
        if self.done.step == self.total_steps:
            self.done.stopped_because = "all steps done"
        if self.config.patience is not None and without_gain >= self.config.patience:
            self.done.stopped_because = f"{self.monitor.name} has not improved for {without_gain} evaluations"


def split_batches(
    prepared: Prepared,
    split: str,
    batch_size: int,
    model: keras.Model,
    shuffle: Shuffle | None = None,
    skip: int = 0,
    readers: Readers = ALONE,
):
    """A tf.data.Dataset of batches with all that a model reads, as `batches` makes them."""
    views = history_views(prepared, model.input)
    return batches(prepared.schema, prepared.shards(split), batch_size, shuffle, skip, views, readers)


def history_views(prepared: Prepared, wanted: Collection[str]):
    """The histories of prepared data that a model with these inputs reads; None: none."""
    if not prepared.schema.histories:
        return None
    from rectrain.data.history_views import HistoryViews  # loads numba

    return HistoryViews.of(prepared.schema, prepared.folder, wanted)


def readers_of(config: TrainerConfig, team: Alone) -> Readers:
    """All readers of the training rows, and those of this process.

    Raises:
        InputError: they cannot be shared out evenly, or a batch has no row for some of them.
    """
    number = config.readers or team.num_members
    if number % team.num_members:
        raise InputError(
            f"trainer.readers={number}: expected a multiple of {team.num_members}, the number of workers, as each of "
            "them has as many readers. null makes one a worker."
        )
    if number > config.batch_size:
        raise InputError(
            f"trainer.batch_size={config.batch_size}: each of the {number} readers (trainer.readers) gives a batch one "
            f"row or more. Set trainer.batch_size to at least {number}."
        )
    each = number // team.num_members
    return Readers(number, range(team.position * each, (team.position + 1) * each))


def total_steps(config: TrainerConfig, train_rows: int) -> int:
    """Steps of a run that is not stopped early."""
    steps = math.ceil(train_rows / config.batch_size) * config.epochs
    return steps if config.max_steps is None else min(steps, config.max_steps)
