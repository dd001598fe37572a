"""The chief of a parameter-server run: what is to be done goes to the workers, weights and slots stay at the servers.

A unit of work is a range of batches, which any worker can make on its own: TensorFlow's ClusterCoordinator hands the
units out in order, and gives one anew to another worker when its worker is lost. So every batch is trained on at least
once, and how many rows were trained on again is known.
"""

import contextlib
import json
import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Self

import numpy as np
import tensorflow as tf

from rectrain.cluster import START_AGAIN, Cluster, Member, differs, gone
from rectrain.config import TrainerConfig
from rectrain.console import say
from rectrain.data.batches import batch_specs
from rectrain.data.manifest import Prepared
from rectrain.data.split import SPLITS
from rectrain.errors import InputError, first_line
from rectrain.evaluation.evaluate import Scored
from rectrain.same_config import difference
from rectrain.training import remote
from rectrain.training.member import END, HELLO, SPLIT_BATCH, TRAIN_BATCH, cluster_spec, key_of
from rectrain.training.precision import float32_layers
from rectrain.training.steps import Steps
from rectrain.training.trainer import history_views
from rectrain.training.watch import Watch, is_up, wait_for

_SCORED_AT_ONCE = 8  # batches of a unit of scoring
_READ_AHEAD = 4  # batches
_LOOK_S = 0.5
_NEWS_S = 10.0  # how much later than TensorFlow the watch may know
_END_S = 10.0
_SCORES = "scores of "
_NUMBER = tf.TensorSpec((), tf.int64)
_OF_LOSS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.InternalError,
    tf.errors.DeadlineExceededError,
)


def connect(
    cluster: Cluster, hello: dict, wait_s: float, presence: contextlib.AbstractContextManager
) -> tf.distribute.Strategy:
    """The strategy of a cluster whose processes are all there and run the same.

    Args:
        presence: of this process; it ends when TensorFlow takes the port.
    Raises:
        InputError: one did not come, or differs; says which and in what.
    """
    servers = [member for member in cluster.members if member.job == "ps"]
    workers = [member for member in cluster.members if member.job == "worker"]
    say(f"waiting for {len(workers)} workers and {len(servers)} parameter servers")
    with presence:
        wait_for([*workers, *servers], wait_s)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        cluster_spec(cluster), task_type="chief", task_id=0, rpc_layer="grpc"
    )
    try:
        strategy = tf.distribute.experimental.ParameterServerStrategy(resolver)
        _check_alike(cluster, strategy, hello)
    except tf.errors.OpError as error:
        raise InputError(
            f"the processes of the cluster answer, but not as TensorFlow's: {first_line(error)} Does another program "
            "have one of their ports, or has one ended?"
        ) from error
    except InputError as error:
        end(cluster, str(error))
        raise
    return strategy


def _check_alike(cluster: Cluster, strategy: tf.distribute.Strategy, hello: dict):
    for member in cluster.members[1:]:
        expected = {**hello, "prepared data": None} if member.job == "ps" else hello
        found = difference(json.loads(_ask(member, HELLO)), expected)
        if found is not None:
            raise differs(member, cluster.chief, found)
    if strategy.num_replicas_in_sync > 1:
        raise InputError(
            f"each worker sees {strategy.num_replicas_in_sync} GPUs, and uses one. Start one worker for each of them, "
            "with its own CUDA_VISIBLE_DEVICES."
        )


def end(cluster: Cluster, why: str = ""):
    """Tells all other processes that the chief is done, or why it is not; those that are gone need not know."""

    def tell(member: Member):
        with contextlib.suppress(Exception):
            _ask(member, END, [tf.constant(why)])

    threads = [
        threading.Thread(target=tell, args=(member,), daemon=True) for member in cluster.members[1:] if is_up(member)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_END_S)


def _ask(member: Member, name: str, arguments: list | None = None) -> bytes:
    with tf.device(f"/job:{member.job}/task:{member.index}/device:CPU:0"):
        (answer,) = remote.call(name, arguments or [], [tf.string])
    return np.asarray(answer).item()


class Workers:
    """Has batches trained on and scored by the workers of a cluster.

    Args:
        hello: what the workers have in common with this process.
    """

    def __init__(
        self, cluster: Cluster, steps: Steps, prepared: Prepared, config: TrainerConfig, hello: dict, wait_s: float
    ):
        self.steps, self.prepared, self.config, self.wait_s = steps, prepared, config, wait_s
        self.lost = False  # what only the servers held
        self._key = key_of(hello)
        self.members = [member for member in cluster.members if member.job == "worker"]
        self._server_watch = Watch([member for member in cluster.members if member.job == "ps"])
        self._worker_watch = Watch(self.members)
        views = history_views(prepared, list(steps.model.input))
        self._specs = batch_specs(prepared.schema, prepared.shards("train"), views)
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(steps.strategy)
        with steps.strategy.scope():
            self._train_unit = tf.function(self._train, autograph=False).get_concrete_function(_NUMBER, _NUMBER)
            with float32_layers(steps.model):
                score = tf.function(self._score, autograph=False)
                self._score_unit = score.get_concrete_function(_NUMBER, _NUMBER, _NUMBER)
        self._last_result = time.monotonic()

    def __enter__(self) -> Self:
        self._server_watch.__enter__()
        self._worker_watch.__enter__()
        return self

    def __exit__(self, *_):
        self._server_watch.__exit__()
        self._worker_watch.__exit__()

    def train(self, first: int, stop: int, interrupted: Callable[[], bool]) -> Iterator[np.ndarray]:
        """Trains on the batches from `first` on, at most to `stop`.

        Args:
            interrupted: True ends it early, when what is given out is done.
        Returns:
            float32 losses of unit after unit; all that was given out is done when the last one has come.
        """
        size = self.config.steps_per_call
        units = ((start, min(start + size, stop)) for start in range(first, stop, size))
        yield from self._in_order(self._train_unit, units, interrupted)

    def rows_trained(self) -> int:
        """Rows that steps were made of, each as often as it was; the servers count. Exact while no unit is out."""
        assert self.steps.rows_trained is not None
        return int(self.steps.rows_trained.numpy())

    def score(self, split: str) -> Iterator[Scored]:
        """Every row of a split, once, in the order of its files."""
        num_batches = math.ceil(self.prepared.rows(split) / self.config.eval_batch_size)
        units = (
            (SPLITS.index(split), start, min(start + _SCORED_AT_ONCE, num_batches))
            for start in range(0, num_batches, _SCORED_AT_ONCE)
        )
        for found in self._in_order(self._score_unit, units, lambda: False):
            scores = {task.name: found[_SCORES + task.name] for task in self.steps.tasks}
            yield Scored(found["labels"], scores, found.get("group"))

    def _in_order(self, function, units: Iterator[tuple], interrupted: Callable[[], bool]) -> Iterator:
        """The results, while two units for each worker are given out: the second it finds when the first is done."""
        waiting: deque[Future] = deque()
        self._last_result = time.monotonic()
        while True:
            while len(waiting) < 2 * len(self.members) and not interrupted():
                unit = next(units, None)
                if unit is None:
                    break
                waiting.append(self._given_out(function, unit))
            if not waiting:
                return
            yield self._result(waiting.popleft())

    def _given_out(self, function, unit: tuple) -> Future:
        future: Future = Future()

        def wait(value):
            try:
                found = value.fetch()
                self._last_result = time.monotonic()
                future.set_result(found)
            except BaseException as error:
                future.set_exception(error)

        try:
            value = self._coordinator.schedule(function, [tf.constant(number, tf.int64) for number in unit])
        except Exception as error:  # of a unit before this one
            future.set_exception(error)
            return future
        # Of a pool's threads Python would wait for the end, which may never come.
        threading.Thread(target=wait, args=(value,), daemon=True).start()
        return future

    def _result(self, future: Future):
        while True:
            try:
                return future.result(timeout=_LOOK_S)
            except TimeoutError:
                self._check()
            except Exception as error:
                raise self._explained(error) from error

    def _check(self):
        """Raises InputError where waiting has no sense."""
        if self._server_watch.gone:
            raise self._loss(self._server_watch.gone[0])
        if time.monotonic() - self._last_result > self.wait_s:
            away = self._worker_watch.gone
            who = f"{', '.join(map(str, away))} cannot be reached" if away else "all can be reached"
            raise InputError(
                f"no worker has finished anything for strategy.wait_s={self.wait_s:g} s ({who}). {START_AGAIN}"
            )

    def _explained(self, error: Exception) -> Exception:
        """What the user can do something about as an InputError; TensorFlow knows of a loss before the watch does."""
        told = re.search(r"InputError: (.*)", str(error))
        if told is not None:  # raised by our own code in a worker
            return InputError(told[1])
        until = time.monotonic() + _NEWS_S
        while isinstance(error, _OF_LOSS) and time.monotonic() < until:
            if self._server_watch.gone:
                return self._loss(self._server_watch.gone[0])
            time.sleep(_LOOK_S)
        if isinstance(error, _OF_LOSS):
            self.lost = True
            return InputError(f"the cluster has failed: {first_line(error)} {START_AGAIN}")
        return error

    def _loss(self, server: Member) -> InputError:
        self.lost = True
        return InputError(f"{gone(server)} Its part of the tables is lost with it. {START_AGAIN}")

    def _train(self, first, stop):
        return self.steps.train_steps(
            iter(self._dataset(TRAIN_BATCH, [], first, stop)), tf.cast(stop - first, tf.int32)
        )

    def _score(self, split, first, stop):
        iterator = iter(self._dataset(SPLIT_BATCH, [split], first, stop))
        tasks = [task.name for task in self.steps.tasks]
        kept = [name for name in ("labels", "group") if name in self._specs]
        specs = [*(self._specs[name] for name in kept), *(tf.TensorSpec((None,), tf.float32) for _ in tasks)]
        count = tf.cast(stop - first, tf.int32)
        arrays = [tf.TensorArray(spec.dtype, count, infer_shape=False, element_shape=spec.shape) for spec in specs]

        def next_batch(place, arrays):
            batch = next(iterator)
            scores = self.steps.strategy.run(self.steps.predictions, ({n: batch[n] for n in self.steps.model.input},))
            found = [*(batch[name] for name in kept), *(scores[task] for task in tasks)]
            return place + 1, [array.write(place, x) for array, x in zip(arrays, found, strict=True)]

        _, arrays = tf.while_loop(lambda place, _: place < count, next_batch, (0, arrays))
        names = [*kept, *(_SCORES + task for task in tasks)]
        return {name: array.concat() for name, array in zip(names, arrays, strict=True)}

    def _dataset(self, name: str, arguments: list, first, stop) -> tf.data.Dataset:
        """Batches that the worker makes, by their numbers."""
        wanted = list(self._specs)

        def batch(number):
            columns = remote.call(
                name, [self._key, *arguments, number, wanted], [spec.dtype for spec in self._specs.values()]
            )
            for column, spec in zip(columns, self._specs.values(), strict=True):
                column.set_shape(spec.shape)
            return dict(zip(wanted, columns, strict=True))

        return tf.data.Dataset.range(first, stop).map(batch, num_parallel_calls=2).prefetch(_READ_AHEAD)
