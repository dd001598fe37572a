"""One progress bar on a terminal; now and then a plain line where output goes to a file."""

import sys
import time

from tqdm import tqdm

from rectrain.console import say

_SECONDS_BETWEEN_LINES = 10
_FORMAT = "{desc} {percentage:3.0f}% |{bar:20}| {n_fmt}/{total_fmt}{postfix}, {rate_fmt}, {remaining} left"


class Progress:
    """Counts `total` units of work.

    Args:
        name: what is done ("train").  unit: "rows", "B" for bytes.
    """

    def __init__(self, name: str, total: int, unit: str):
        self.name, self.total, self.unit = name, total, unit
        self.done = 0
        self._started = self._last_line = time.monotonic()
        self._bar = tqdm(
            desc=name,
            total=total,
            unit=unit,
            unit_scale=True,
            leave=False,
            dynamic_ncols=True,
            file=sys.stderr,
            disable=not sys.stderr.isatty(),
            bar_format=_FORMAT,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()

    def advance(self, amount: int, note: str = ""):
        """`amount` more units are done; `note` is shown beside the count ("loss 0.4312")."""
        self.done += amount
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(amount)
        now = time.monotonic()
        if self._bar.disable and now - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = now
            say(self._line(now, note))

    def _line(self, now: float, note: str) -> str:
        rate = self.done / (now - self._started)
        left = (self.total - self.done) / rate if rate else float("inf")
        parts = [
            f"{self.name}: {self.done:,} of {self.total:,} {self.unit}",
            f"{rate:,.0f} {self.unit}/s",
            f"{left:.0f} s left",
        ]
        return ", ".join([*parts, note] if note else parts)
