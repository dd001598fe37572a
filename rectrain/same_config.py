"""What goes on must be what was begun: the parts of a config that decide its numbers are compared."""

import json
from pathlib import Path

from rectrain.errors import InputError

_SECTIONS = ("seed", "task", "model", "optimizer", "strategy", "data", "trainer")
_FREE = {"data": ("prepared_dir",), "trainer": ("keep_checkpoints", "save_every_s", "report_splits")}


def deciding(config: dict) -> dict:
    """What decides the numbers of a training run, of its composed config, in JSON's types."""
    sections = {section: config[section] for section in _SECTIONS if section in config}
    for section, free in _FREE.items():
        if section in sections:
            sections[section] = {key: value for key, value in sections[section].items() if key not in free}
    return json.loads(json.dumps(sections))


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
