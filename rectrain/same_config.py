"""What goes on must be what was begun: the parts of a config that decide its numbers are compared."""

import json
from pathlib import Path

from rectrain.errors import InputError


def check_same(saved: dict, now: dict, folder: Path, prefix: str = ""):
    """
    Args:
        saved: what `folder` was learned with, in JSON's types, as `now`.
    Raises:
        InputError: names the first key that differs, with both values.
    """
    for key in sorted({*saved, *now}, key=lambda key: (key != "name", key)):  # a name says more than what follows it
        old, new = saved.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            check_same(old, new, folder, f"{prefix}{key}.")
        elif old != new:
            raise InputError(
                f"{prefix}{key}={_word(new)}: {folder} was learned with {prefix}{key}={_word(old)}. Make it as it was, "
                "or start anew in another hydra.run.dir (hydra.sweep.dir for a sweep)."
            )


def _word(value) -> str:
    """A value as it is written in a config."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
