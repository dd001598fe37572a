"""How far a pass over many rows is: a bar on a terminal, elsewhere a plain line now and then."""

import sys
import time
from collections.abc import Callable

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 10
_bars = True  # none where several processes share a terminal


def show_no_bars():
    """From now on there are lines, on a terminal too."""
    global _bars  # of the process, like its terminal
    _bars = False


class Progress:
    """Units of work (rows, or bytes of raw files) tell how far it is; rows a second tell how fast.

    Args:
        title: what is done ("train").  total: units of work.  say: prints a line where there is no terminal.
        done: units that were done before.  shown: False where another one shows the same work.
    """

    def __init__(self, title: str, total: int, say: Callable[[str], object], *, done: int = 0, shown: bool = True):
        self._title, self._total, self._say = title, total, say
        self._done = self._done_before = done
        self._rows = 0
        self._start = self._last_line = time.monotonic()
        self._on_terminal, self._shown = _bars and sys.stderr.isatty(), shown
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=title,
            file=sys.stderr,
            disable=not (self._on_terminal and shown),
            leave=False,
            dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}% |{bar:24}| {remaining} left{postfix}",
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()

    def advance(self, amount: int):
        """`amount` more units of work are done."""
        self._done += amount
        self._bar.update(amount)

    def add_rows(self, num_rows: int, note: str = ""):
        """`num_rows` more rows are done; `note` is shown beside them ("loss 0.4312")."""
        self._rows += num_rows
        shown = ", ".join(filter(None, [f"{self._rows:,} rows", f"{self._rate():,.0f} rows/s", note]))
        self._bar.set_postfix_str(shown, refresh=False)
        now = time.monotonic()
        if self._shown and not self._on_terminal and now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            share = min(self._done / max(self._total, 1), 1)
            done = self._done - self._done_before
            left = (now - self._start) * (self._total - self._done) / done if done else float("nan")
            self._say(f"{self._title}: {share:.0%}, {shown}, {left:.0f} s left")

    def _rate(self) -> float:
        return self._rows / max(time.monotonic() - self._start, 1e-9)
