"""A worker or a parameter server of a cluster: it does what the chief asks for, until that is done or gone."""

import hashlib
import json
import math
import threading
import time

import numpy as np
import tensorflow as tf

from rectrain.cluster import Cluster, Member, check_port_is_free, gone
from rectrain.config import TrainConfig
from rectrain.console import say
from rectrain.data.by_number import FileBatches, ShuffledBatches
from rectrain.data.manifest import Prepared
from rectrain.data.split import SPLITS
from rectrain.errors import InputError
from rectrain.signals import Signals
from rectrain.training import remote
from rectrain.training.team import Alone
from rectrain.training.trainer import history_views, readers_of
from rectrain.training.watch import Watch, wait_for

HELLO, END, TRAIN_BATCH, SPLIT_BATCH = "rectrain_hello", "rectrain_end", "rectrain_train_batch", "rectrain_split_batch"
_LOOK_S = 0.5
_GRACE_S = 30.0  # after a signal, for the chief to save and end first


def serve_until_the_end(cluster: Cluster, hello: dict, wait_s: float, signals: Signals):
    """Runs TensorFlow's server of this process, until the chief ends, or for a while after a signal.

    Args:
        hello: {name: value in JSON's types} that all processes must have in common; the chief compares.
    Raises:
        InputError: the port is taken, the chief did not come, is gone, or has refused this process.
    """
    check_port_is_free(cluster.me)
    end = _End()
    remote.serve(HELLO, lambda: [json.dumps(hello).encode()])
    remote.serve(END, end)
    server = tf.distribute.Server(cluster_spec(cluster), cluster.me.job, cluster.me.index, protocol="grpc", start=True)
    say(f"{cluster.me} is ready")
    wait_for([cluster.chief], wait_s)
    until = math.inf
    with Watch([cluster.chief]) as watch:
        while not end.said.wait(_LOOK_S) and time.monotonic() < until:
            if signals.any() and until == math.inf:
                until = time.monotonic() + _GRACE_S
            if watch.gone:
                raise InputError(f"{gone(cluster.chief)} {cluster.me} ends too; what the chief had saved stays.")
    del server  # it has to live until here
    if end.why:
        raise InputError(end.why)


class _End:
    """The chief says that it is done; or why this process is of no use to it."""

    def __init__(self):
        self.said = threading.Event()
        self.why = ""

    def __call__(self, why) -> list:
        self.why = _text(why)
        threading.Timer(_LOOK_S, self.said.set).start()  # the answer goes first
        return [b"ok"]


class Batches:
    """What a worker reads, of its own copy or its own way to the prepared data.

    Args:
        hello: as serve_until_the_end's. The chief names it with each request, as a worker may have come later.
    """

    def __init__(self, prepared: Prepared, config: TrainConfig, hello: dict, me: Member):
        self.prepared, self.config, self.me = prepared, config, me
        self._key = key_of(hello)
        self._sources: dict[tuple, ShuffledBatches | FileBatches] = {}
        self._lock = threading.Lock()

    def serve(self):
        remote.serve(TRAIN_BATCH, self.of_training)
        remote.serve(SPLIT_BATCH, self.of_split)

    def of_training(self, key, number, names) -> list[np.ndarray]:
        """The named columns of a batch of training."""
        return self._columns(_text(key), "shuffled", int(number), names)

    def of_split(self, key, split, number, names) -> list[np.ndarray]:
        """The same of one of a split in the order of its files."""
        return self._columns(_text(key), SPLITS[int(split)], int(number), names)

    def _columns(self, key: str, kind: str, number: int, names) -> list[np.ndarray]:
        if key != self._key:
            raise InputError(f"{self.me} came back with another config, version or data than the chief's.")
        wanted = tuple(_text(name) for name in names)
        with self._lock:
            if (kind, wanted) not in self._sources:
                self._sources[kind, wanted] = self._source(kind, wanted)
            source = self._sources[kind, wanted]
        rows = source.batch(number)
        return [rows[name] for name in wanted]

    def _source(self, kind: str, wanted: tuple[str, ...]) -> ShuffledBatches | FileBatches:
        prepared, trainer, views = self.prepared, self.config.trainer, history_views(self.prepared, wanted)
        if kind != "shuffled":
            return FileBatches(prepared.schema, prepared.shards(kind), trainer.eval_batch_size, views=views)
        return ShuffledBatches(
            prepared.schema,
            prepared.shards("train"),
            trainer.batch_size,
            seed=self.config.seed,
            window=trainer.shuffle_rows,
            num_readers=readers_of(trainer, Alone()).number,
            views=views,
        )


def key_of(hello: dict) -> str:
    return hashlib.sha256(json.dumps(hello, sort_keys=True).encode()).hexdigest()


def _text(value) -> str:
    value = value.item() if isinstance(value, np.ndarray) else value
    return value.decode()


def cluster_spec(cluster: Cluster) -> tf.train.ClusterSpec:
    jobs: dict[str, list[str]] = {}
    for member in cluster.members:
        jobs.setdefault(member.job, []).append(member.address)
    return tf.train.ClusterSpec(jobs)
