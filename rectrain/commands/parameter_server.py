"""The processes of strategy=parameter_server, for the recipe of training: of any other strategy nothing is here."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rectrain.cluster import Cluster, from_environment, in_common
from rectrain.commands.prepare import prepare_and_say
from rectrain.config import TrainConfig
from rectrain.console import import_tensorflow
from rectrain.data.manifest import Prepared
from rectrain.errors import InputError, first_line
from rectrain.signals import Signals
from rectrain.training.watch import Presence

if TYPE_CHECKING:
    import tensorflow as tf

    from rectrain.training.parameter_server import Workers
    from rectrain.training.steps import Steps

_NAME = "parameter_server"
_LEAVE_S = 10.0


def is_helper(config: TrainConfig) -> bool:
    """Whether this process is a worker or a server.

    Raises:
        InputError: TF_CONFIG is not what the strategy needs.
    """
    return config.strategy.name == _NAME and not _cluster().is_chief


def serve(config: TrainConfig, hello: dict):
    """What a worker or a server does: it ends with the chief.

    Args:
        hello: what all processes must have in common.
    """
    cluster = _cluster()
    prepared = prepare_and_say(config.data) if cluster.me.job == "worker" else None
    import_tensorflow()
    from rectrain.training.member import Batches, serve_until_the_end

    hello = _told(config, hello, prepared)
    if prepared is not None:
        Batches(prepared, config, hello, cluster.me).serve()
    assert config.strategy.wait_s is not None
    with Signals() as signals, signals.held():  # a signal that all processes get leaves the chief time to save
        serve_until_the_end(cluster, hello, config.strategy.wait_s, signals)


def presence(config: TrainConfig) -> contextlib.ExitStack:
    """Of the chief, which others see while it prepares the data."""
    stack = contextlib.ExitStack()
    if config.strategy.name == _NAME:
        stack.enter_context(Presence(_cluster().me))
    return stack


@contextlib.contextmanager
def connected(
    config: TrainConfig, prepared: Prepared, hello: dict, presence: contextlib.AbstractContextManager
) -> Iterator[tuple["tf.distribute.Strategy | None", Callable[["Steps"], "Workers | None"]]]:
    """The strategy of the cluster, and what puts its workers to work; at the end all hear how the chief ended.

    Args:
        presence: of this process, until TensorFlow takes the port.
    """
    if config.strategy.name != _NAME:
        yield None, lambda steps: None
        return
    from rectrain.training.parameter_server import Workers, connect, end

    cluster, told, wait_s = _cluster(), _told(config, hello, prepared), config.strategy.wait_s
    assert wait_s is not None
    strategy = connect(cluster, told, wait_s, presence)

    def workers_for(steps):
        return stack.enter_context(Workers(cluster, steps, prepared, config.trainer, told, wait_s))

    with contextlib.ExitStack() as stack:
        try:
            yield strategy, workers_for
        except BaseException as error:
            why = first_line(error) if isinstance(error, Exception) and str(error) else f"{error or 'interrupted'}."
            end(cluster, f"{cluster.chief}, the chief, ended: {why}")
            if isinstance(error, InputError):
                _leave_by_force()
            raise
        end(cluster)


def _leave_by_force():
    """Ends this process in a while: TensorFlow waits without end for a worker that is there and does nothing."""
    timer = threading.Timer(_LEAVE_S, os._exit, (2,))
    timer.daemon = True
    timer.start()


def _cluster() -> Cluster:
    return from_environment(_NAME)


def _told(config: TrainConfig, hello: dict, prepared: Prepared | None) -> dict:
    """With what every command's processes have in common; servers read no data."""
    import tensorflow as tf

    return {
        **hello,
        "tensorflow": tf.__version__,
        **in_common(config.strategy),
        "prepared data": None if prepared is None else prepared.manifest["key"],
    }
