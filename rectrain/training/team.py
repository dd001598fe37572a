"""What the processes of a run tell each other beside TensorFlow: who is there, what is decided, who is lost.

They meet at the chief's address before TensorFlow listens there, so a cluster that is not one is refused with a reason
instead of being waited for, and keep those connections: the end of a process is known at once, and by name.
"""

import contextlib
import json
import os
import queue
import socket
import struct
import sys
import threading
import time
from typing import Self

import numpy as np

from rectrain.cluster import (
    START_AGAIN,
    VARIABLE,
    Cluster,
    Member,
    bound,
    check_port_is_free,
    did_not_come,
    differs,
    from_environment,
    gone,
    in_common,
    is_told,
)
from rectrain.config import StrategyConfig
from rectrain.console import complain, say
from rectrain.errors import InputError, first_line
from rectrain.same_config import difference

_PING_S = 5
_SILENCE_S = 60  # without a ping for so long a machine is taken for lost
_GRACE_S = 30  # from the loss of a process to the end of this one, should TensorFlow not let go
_RETRY_S = 0.2
_LARGEST_HELLO = 2**24  # bytes
_UNAVAILABLE = 14  # tf.errors.UNAVAILABLE
_HEAD = struct.Struct("!cQ")
_PING, _VALUE, _BYTES, _LAST = b".", b"v", b"b", b"x"


class Alone:
    """The team of a run of one process."""

    num_members, position, is_chief = 1, 0, True

    def share(self, value):
        """The chief's value, in JSON's types, in every process."""
        return value

    def any(self, *flags: bool) -> list[bool]:
        """Of each flag whether it is set in any process."""
        return list(flags)

    def gather_rows(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """The rows of all processes, in their order, in the chief; None in the others."""
        return columns

    @contextlib.contextmanager
    def naming_the_lost(self):
        """Errors of TensorFlow that come of a lost process become the InputError that names it."""
        yield


class Team(Alone):
    """The processes of a multi_worker run; every one calls the same methods in the same order.

    Args:
        hello: {name: value in JSON's types} that all must have in common.
        wait_s: seconds to wait for the others.
    Raises:
        InputError: a process did not come, or differs; each process says which.
    """

    def __init__(self, cluster: Cluster, hello: dict, wait_s: float):
        self.cluster = cluster
        self.num_members, self.position = len(cluster.members), cluster.position
        self.is_chief = cluster.is_chief
        self.lost: str | None = None
        self._ended: set[Member] = set()  # that have said why
        self._lock = threading.Lock()
        self._links = _gathered(cluster, hello, wait_s) if self.is_chief else _introduced(cluster, hello, wait_s)
        self._arrived: dict[Member, queue.SimpleQueue] = {member: queue.SimpleQueue() for member in self._links}
        self._over = threading.Event()
        threading.Thread(target=self._ping, daemon=True).start()
        self._listeners = [threading.Thread(target=self._listen, args=(m,), daemon=True) for m in self._links]
        for listener in self._listeners:
            listener.start()

    def share(self, value):
        if self.is_chief:
            self._send_all(_VALUE, json.dumps(value).encode())
            return value
        return json.loads(self._receive(self.cluster.chief))

    def any(self, *flags: bool) -> list[bool]:
        if not self.is_chief:
            self._send(self.cluster.chief, _VALUE, json.dumps(flags).encode())
            return self.share(None)
        told = [list(flags), *(json.loads(self._receive(member)) for member in self._links)]
        return self.share([any(of_all) for of_all in zip(*told, strict=True)])

    def gather_rows(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        if self.is_chief:
            return {name: self._joined(column) for name, column in columns.items()}
        for column in columns.values():
            self._send(self.cluster.chief, _BYTES, np.ascontiguousarray(column).tobytes())
        return None

    def _joined(self, mine: np.ndarray) -> np.ndarray:
        theirs = [np.frombuffer(self._receive(member), mine.dtype) for member in self._links]
        return np.concatenate([mine, *(part.reshape(-1, *mine.shape[1:]) for part in theirs)])

    @contextlib.contextmanager
    def naming_the_lost(self):
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            self._wait_for_news()
            if self.lost is None:
                raise
            raise InputError(self.lost) from error

    def _wait_for_news(self):
        """TensorFlow may know of a loss a moment before this does."""
        until = time.monotonic() + _PING_S
        while self.lost is None and time.monotonic() < until:
            time.sleep(_RETRY_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind, error, *_):
        why = None if error is None else self.lost or f"{self.cluster.me} ended: {first_line(error)}"
        self._over.set()
        with contextlib.suppress(OSError):
            self._send_all(_LAST, json.dumps(why).encode())
        for link in self._links.values():
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_WR)  # a close would throw away what the other has not read yet
        for listener in self._listeners:
            listener.join(_RETRY_S)

    def _send_all(self, kind: bytes, content: bytes):
        for member in self._links:
            self._send(member, kind, content)

    def _send(self, member: Member, kind: bytes, content: bytes):
        try:
            with self._lock:
                _write(self._links[member], kind, content)
        except OSError:
            self._note_loss(member)
            self._check()

    def _receive(self, member: Member) -> bytes:
        content = self._arrived[member].get()
        if content is None:
            self._arrived[member].put(None)
            self._check()
        return content

    def _check(self):
        if self.lost is not None and not self._over.is_set():
            raise InputError(self.lost)

    def _ping(self):
        while not self._over.wait(_PING_S):
            for link in self._links.values():
                with contextlib.suppress(OSError), self._lock:
                    _write(link, _PING, b"")

    def _listen(self, member: Member):
        link = self._links[member]
        link.settimeout(_SILENCE_S)
        try:
            while True:
                kind, content = _read(link)
                if kind == _LAST:
                    self._note_end(member, json.loads(content))
                elif kind != _PING:
                    self._arrived[member].put(content)
        except (OSError, EOFError):
            link.close()
            self._note_loss(member)

    def _note_end(self, member: Member, why: str | None):
        self._ended.add(member)
        if why is not None:
            self._lose(why)

    def _note_loss(self, member: Member):
        if member not in self._ended:
            self._lose(gone(member))

    def _lose(self, why: str):
        """What `why` says ends the run here too; the chief passes it on."""
        if self._over.is_set() or self.lost is not None:
            return
        self.lost = f"{why} {START_AGAIN}"
        if self.is_chief:
            for link in self._links.values():
                with contextlib.suppress(OSError), self._lock:
                    _write(link, _LAST, json.dumps(why).encode())
        for arrived in self._arrived.values():
            arrived.put(None)
        threading.Thread(target=self._end_by_force, daemon=True).start()
        _stop_tensorflow(self.lost)

    def _end_by_force(self):
        """Where TensorFlow does not return from what it waits for."""
        if not self._over.wait(_GRACE_S):
            complain(str(self.lost))
            os._exit(2)


def joined(strategy: StrategyConfig, hello: dict) -> contextlib.AbstractContextManager[Alone]:
    """The processes of a command, once they have met; of any other strategy than multi_worker it is one.

    Those of parameter servers do not take part in a command: its chief has work done by them.

    Args:
        hello: as Team's; the strategy and the version of rectrain are added.
    Raises:
        InputError: TF_CONFIG or the cluster are not what the strategy needs.
    """
    if strategy.name == "multi_worker":
        assert strategy.wait_s is not None
        return Team(from_environment("multi_worker"), {**hello, **in_common(strategy)}, strategy.wait_s)
    if is_told() and strategy.name != "parameter_server":
        raise InputError(
            f"strategy={strategy.name} is of one process, and {VARIABLE} names several. Set strategy=multi_worker, or "
            f"unset {VARIABLE}."
        )
    return contextlib.nullcontext(Alone())


def _stop_tensorflow(message: str):
    """Ends the collective operations that this process waits in; they raise an error of this message."""
    context = sys.modules.get("tensorflow.python.eager.context")  # there is no public name for it
    if context is not None:
        with contextlib.suppress(Exception):  # there is nothing to end
            context.context().abort_collective_ops(_UNAVAILABLE, message)


def _gathered(cluster: Cluster, hello: dict, wait_s: float) -> dict[Member, socket.socket]:
    """The chief's connections to all others."""
    came: dict[Member, tuple[socket.socket, dict]] = {}
    until = time.monotonic() + wait_s
    try:
        with bound(cluster.me) as listener:
            while len(came) < len(cluster.members) - 1:
                listener.settimeout(max(until - time.monotonic(), 0.01))
                _greet(cluster, listener.accept()[0], came)
        _check_alike(cluster, hello, came)
    except TimeoutError:
        error = did_not_come([member for member in cluster.members[1:] if member not in came], wait_s)
        _send_away(came, str(error))
        raise error from None
    except (InputError, KeyboardInterrupt) as error:
        _send_away(came, str(error))
        raise
    links = {member: came[member][0] for member in cluster.members[1:]}  # in the cluster's order, not as they came
    for link in links.values():
        _write(link, _VALUE, b"null")
    return links


def _greet(cluster: Cluster, link: socket.socket, came: dict[Member, tuple[socket.socket, dict]]):
    """Takes in one who says that it is a member; anything else that comes to the port is sent away."""
    link.settimeout(_PING_S)
    try:
        theirs = json.loads(_read(link, _LARGEST_HELLO)[1])
        member = next(m for m in cluster.members[1:] if [m.job, m.index] == theirs["member"])
    except (OSError, EOFError, ValueError, LookupError, TypeError, StopIteration):
        link.close()
        return
    if member in came:
        why = f"{member} came twice: two processes have {member.job} index {member.index}."
        _send_away({member: (link, theirs)}, why)
        raise InputError(why)
    came[member] = link, theirs


def _check_alike(cluster: Cluster, hello: dict, came: dict[Member, tuple[socket.socket, dict]]):
    mine = {**hello, "cluster": _told(cluster)}
    for member, (_, theirs) in came.items():
        found = difference({**theirs["hello"], "cluster": theirs["cluster"]}, mine)
        if found is not None:
            raise differs(member, cluster.me, found)


def _told(cluster: Cluster) -> list[str]:
    return [str(member) for member in cluster.members]


def _send_away(came: dict[Member, tuple[socket.socket, dict]], why: str):
    for link, _ in came.values():
        with contextlib.suppress(OSError):
            _write(link, _LAST, json.dumps(why).encode())
        link.close()


def _introduced(cluster: Cluster, hello: dict, wait_s: float) -> dict[Member, socket.socket]:
    """A member's connection to the chief."""
    check_port_is_free(cluster.me)
    link = _connected(cluster, wait_s)
    told = {"member": [cluster.me.job, cluster.me.index], "cluster": _told(cluster), "hello": hello}
    try:
        _write(link, _VALUE, json.dumps(told).encode())
        link.settimeout(wait_s + _PING_S)
        kind, content = _read(link)
    except (OSError, EOFError):
        link.close()
        raise InputError(
            f"{cluster.chief}, the chief, did not take this process, {cluster.me}, into its cluster. Its own output "
            "says why, or another program has its port."
        ) from None
    if kind == _LAST:
        link.close()
        raise InputError(json.loads(content))
    return {cluster.chief: link}


def _connected(cluster: Cluster, wait_s: float) -> socket.socket:
    until, told = time.monotonic() + wait_s, False
    while True:
        try:
            return socket.create_connection(cluster.chief.endpoint, timeout=_PING_S)
        except OSError as error:
            if time.monotonic() >= until:
                raise InputError(
                    f"{cluster.chief}, the chief, could not be reached within strategy.wait_s={wait_s:g} seconds "
                    f"({error.strerror or error}). Is it started, and is its address right in TF_CONFIG?"
                ) from None
        if not told:
            say(f"waiting for {cluster.chief}, the chief")
            told = True
        time.sleep(_RETRY_S)


def _write(link: socket.socket, kind: bytes, content: bytes):
    link.sendall(_HEAD.pack(kind, len(content)))
    link.sendall(content)


def _read(link: socket.socket, largest: int | None = None) -> tuple[bytes, bytes]:
    kind, size = _HEAD.unpack(_exactly(link, _HEAD.size))
    if largest is not None and size > largest:
        raise ValueError(f"{size} bytes")
    return kind, _exactly(link, size)


def _exactly(link: socket.socket, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        piece = link.recv(min(size - len(content), 2**20))
        if not piece:
            raise EOFError
        content += piece
    return bytes(content)
