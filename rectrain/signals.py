"""SIGTERM and SIGINT end a run where that is safe."""

import contextlib
import os
import signal
import threading

from rectrain.errors import StoppedError

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """The first signal raises StoppedError where the program stands; within `held`, at the end of that.

    A Ctrl-C that follows another signal ends the process at once, whatever it is at.
    """

    def __init__(self):
        self.came: int | None = None
        self._held = False
        self._before: dict = {}  # handlers

    def any(self) -> bool:
        return self.came is not None

    def stop(self):
        """
        Raises:
            StoppedError: as if a signal that came to another process of the run had come here.
        """
        raise StoppedError(self.came or signal.SIGTERM)

    @contextlib.contextmanager
    def held(self, *, raises: bool = True):
        """
        Args:
            raises: False leaves it to the caller to end.
        Raises:
            StoppedError: a signal came in between; the work in between is whole.
        """
        before, self._held = self._held, True
        try:
            yield
        finally:
            self._held = before
        if raises and self.came is not None:
            raise StoppedError(self.came)

    def hear_again(self):
        """Within this context, after what takes SIGTERM for itself, as TensorFlow does when it joins a cluster."""
        if self._before:
            self._hear()

    def _hear(self) -> dict:
        return {number: signal.signal(number, self._note) for number in _NUMBERS}

    def __enter__(self):
        self._before = self._hear()
        # A compiled call keeps Python from its handlers; the operating system writes each signal into this pipe.
        reading, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        signal.set_wakeup_fd(self._pipe, warn_on_full_buffer=False)
        threading.Thread(target=_end_at_second, args=(reading,), daemon=True).start()
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        os.close(self._pipe)

    def _note(self, number, frame):
        first, self.came = self.came is None, self.came or number
        if first and not self._held:
            raise StoppedError(number)


def _end_at_second(pipe: int):
    """Ends the process when a SIGINT follows a signal; returns when the other end of the pipe is closed."""
    came = False
    with os.fdopen(pipe, "rb", buffering=0) as numbers:
        while number := numbers.read(1):
            if came and number[0] == signal.SIGINT:
                os._exit(StoppedError(number[0]).exit_code)
            came = came or number[0] in _NUMBERS
