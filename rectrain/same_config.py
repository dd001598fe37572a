"""What goes on must be what was begun: the parts of a config that decide its numbers are compared."""

import json
from pathlib import Path

from rectrain.errors import InputError

_SECTIONS = ("seed", "task", "model", "optimizer", "data", "trainer")
_FREE = {"data": ("prepared_dir",), "trainer": ("keep_checkpoints", "save_every_s", "report_splits")}


def deciding(config: dict) -> dict:
    """What decides the numbers of a training run, of its composed config, in JSON's types."""
    sections = {section: config[section] for section in _SECTIONS if section in config}
    for section, free in _FREE.items():
        if section in sections:
            sections[section] = {key: value for key, value in sections[section].items() if key not in free}
    return json.loads(json.dumps(sections))


def difference(one: dict, other: dict, prefix: str = "") -> tuple[str, object, object] | None:
    """The first key whose values differ, in JSON's types, and both values; None where none does."""
    for key in sorted({*one, *other}, key=lambda key: (key != "name", key)):  # a name says more than what follows it
        first, second = one.get(key), other.get(key)
        if isinstance(first, dict) and isinstance(second, dict):
            found = difference(first, second, f"{prefix}{key}.")
            if found is not None:
                return found
        elif first != second:
            return f"{prefix}{key}", first, second
    return None


def check_same(saved: dict, now: dict, folder: Path):
    """
    Args:
        saved: what `folder` was learned with, in JSON's types, as `now`.
    Raises:
        InputError: names the first key that differs, with both values.
    """
    found = difference(saved, now)
    if found is not None:
        key, old, new = found
        raise InputError(
            f"{key}={word(new)}: {folder} was learned with {key}={word(old)}. Make it as it was, "
            "or start anew in another hydra.run.dir (hydra.sweep.dir for a sweep)."
        )


def word(value) -> str:
    """A value as it is written in a config."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
