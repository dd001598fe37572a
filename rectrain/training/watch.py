"""Whether the processes of a cluster are there, by the ports at which TensorFlow listens."""

import contextlib
import socket
import threading
import time
from typing import Self

from rectrain.cluster import Member, bound, did_not_come

_EVERY_S = 1.0
_ANSWER_S = 5.0
_GONE_AFTER = 3  # looks in a row without an answer; no clock, which would take a busy machine of ours for a lost one


def is_up(member: Member) -> bool:
    try:
        with socket.create_connection(member.endpoint, timeout=_ANSWER_S):
            return True
    except OSError:
        return False


def wait_for(members: list[Member], wait_s: float):
    """Returns when all of them listen.

    Raises:
        InputError: names those that do not after `wait_s` seconds.
    """
    until, missing = time.monotonic() + wait_s, members
    while missing := [member for member in missing if not is_up(member)]:
        if time.monotonic() > until:
            raise did_not_come(missing, wait_s)
        time.sleep(_EVERY_S / 4)


class Presence:
    """Lets others see that this process is there before TensorFlow listens at its port.

    Raises:
        InputError: another program has the port.
    """

    def __init__(self, member: Member):
        self._socket = bound(member)
        self._thread = threading.Thread(target=self._answer, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # a close alone would leave the thread waiting
        self._thread.join()
        self._socket.close()

    def _answer(self):
        with contextlib.suppress(OSError):
            while True:
                self._socket.accept()[0].close()


class Watch:
    """Looks after `members` in a thread of its own."""

    def __init__(self, members: list[Member]):
        self._failures = dict.fromkeys(members, 0)
        self._over = threading.Event()

    @property
    def gone(self) -> list[Member]:
        """Those that do not answer."""
        return [member for member, number in self._failures.items() if number >= _GONE_AFTER]

    def __enter__(self) -> Self:
        for member in self._failures:  # one that answers slowly does not keep the others waiting
            threading.Thread(target=self._look, args=(member,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._over.set()

    def _look(self, member: Member):
        while not self._over.wait(_EVERY_S):
            self._failures[member] = 0 if is_up(member) else self._failures[member] + 1
