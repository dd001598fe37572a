"""How far a pass over the raw files is: a bar on a terminal, elsewhere a plain line now and then."""

import sys
import time
from collections.abc import Callable

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 10


class Progress:
    """Bytes of the raw files tell how far it is; rows a second tell how fast."""

    def __init__(self, title: str, total_bytes: int, say: Callable[[str], object]):
        self._title, self._total_bytes, self._say = title, total_bytes, say
        self._bytes = self._rows = 0
        self._start = self._last_line = time.monotonic()
        self._on_terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total_bytes, desc=title, unit="B", unit_scale=True, file=sys.stderr, disable=not self._on_terminal
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()

    def advance(self, num_bytes: int):
        self._bytes += num_bytes
        self._bar.update(num_bytes)

    def add_rows(self, num_rows: int):
        self._rows += num_rows
        self._bar.set_postfix_str(f"{self._rate():,.0f} rows/s", refresh=False)
        now = time.monotonic()
        if not self._on_terminal and now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._say(self._line())

    def _rate(self):
        return self._rows / max(time.monotonic() - self._start, 1e-9)

    def _line(self):
        share = min(self._bytes / max(self._total_bytes, 1), 1)
        left = (time.monotonic() - self._start) * (1 - share) / share if share else float("nan")
        return f"{self._title}: {share:.0%}, {self._rows:,} rows, {self._rate():,.0f} rows/s, {left:.0f} s left"
