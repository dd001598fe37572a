"""The processes of strategy=parameter_server beside the chief's recipe in train.py."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rectrain.cluster import Cluster
from rectrain.commands.prepare import prepare_and_say
from rectrain.config import TrainConfig
from rectrain.console import import_tensorflow
from rectrain.data.manifest import Prepared
from rectrain.errors import first_line
from rectrain.signals import Signals

if TYPE_CHECKING:
    import tensorflow as tf

    from rectrain.training.parameter_server import Workers
    from rectrain.training.steps import Steps


def serve(config: TrainConfig, cluster: Cluster, hello: dict):
    """What a worker or a server does: it ends with the chief.

    Args:
        hello: what all processes must have in common.
    """
    prepared = prepare_and_say(config.data) if cluster.me.job == "worker" else None
    import_tensorflow()
    from rectrain.training.member import Batches, serve_until_the_end

    hello = with_data(hello, prepared)
    if prepared is not None:
        Batches(prepared, config, hello, cluster.me).serve()
    assert config.strategy.wait_s is not None
    with Signals() as signals, signals.held():  # a signal that all processes get leaves the chief time to save
        serve_until_the_end(cluster, hello, config.strategy.wait_s, signals)


@contextlib.contextmanager
def connected(
    config: TrainConfig, cluster: Cluster, prepared: Prepared, hello: dict, presence: contextlib.AbstractContextManager
) -> Iterator[tuple["tf.distribute.Strategy", Callable[["Steps"], "Workers"]]]:
    """The strategy of the cluster, and what puts its workers to work; at the end all hear how the chief ended.

    Args:
        presence: as connect's.
    """
    from rectrain.training.parameter_server import Workers, connect, end

    wait_s = config.strategy.wait_s
    assert wait_s is not None
    hello = with_data(hello, prepared)
    strategy = connect(cluster, hello, wait_s, presence)
    with contextlib.ExitStack() as stack:
        try:
            yield (
                strategy,
                lambda steps: stack.enter_context(Workers(cluster, steps, prepared, config.trainer, hello, wait_s)),
            )
        except BaseException as error:
            told = first_line(error) if isinstance(error, Exception) and str(error) else f"{error or 'interrupted'}."
            end(cluster, f"{cluster.chief}, the chief, ended: {told}")
            raise
        end(cluster)


def with_data(hello: dict, prepared: Prepared | None) -> dict:
    """Servers read none."""
    return {**hello, "prepared data": None if prepared is None else prepared.manifest["key"]}
