"""What a search may choose: each key of the config with a range of numbers or a list of values."""

import json
import math
from dataclasses import dataclass
from typing import Any

from rectrain.config import check_keys
from rectrain.errors import InputError

_RESERVED = {
    "resume": "it says whether the search goes on",
    "trainer.monitor": "it is what the trials are judged by",
    "seed": "a luckier seed is no better config; sweep.seeds runs each trial with several",
}


@dataclass(frozen=True)
class Choices:
    values: list[Any]

    def ends(self) -> list[Any]:
        return self.values


@dataclass(frozen=True)
class Numbers:
    """From low to high, both included: whole ones where both bounds are written as such."""

    low: int | float
    high: int | float
    log: bool  # as many between .001 and .01 as between .01 and .1
    step: int | float | None

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def ends(self) -> list[Any]:
        return [self.low, self.high]


Space = dict[str, Choices | Numbers]


def parse_space(raw: dict[str, dict]) -> Space:
    """
    Args:
        raw: {key of the config, or name of a group: {low, high, log, step} or {choices}}.
    Raises:
        InputError: names the key of what is not a range or a list of values.
    """
    if not raw:
        raise InputError("sweep.space={}: expected at least one key of the config, with {low, high} or {choices}.")
    return {key: _knob(entry, key) for key, entry in raw.items()}


def word(key: str, value, *, is_group: bool) -> str:
    """`key=value` as Hydra's grammar reads it; the typed sections say whether there is such a key."""
    return f"{key}={value}" if is_group else f"++{key}={json.dumps(value)}"


def _knob(raw: dict, key: str) -> Choices | Numbers:
    where = f"sweep.space.{key}"
    if key in _RESERVED or key.startswith(("hydra", "sweep")):
        raise InputError(f"{where}: no key to search: {_RESERVED.get(key, 'it concerns the sweep itself')}.")
    check_keys(raw, ("choices",) if "choices" in raw else ("low", "high", "log", "step"), where)
    return _choices(raw["choices"], where) if "choices" in raw else _numbers(raw, where)


def _choices(values, where: str) -> Choices:
    if not isinstance(values, list) or not values or any(isinstance(value, dict) for value in values):
        raise InputError(f"{where}.choices={values!r:.200}: expected a list of values, at least one.")
    if len({json.dumps(value) for value in values}) < len(values):
        raise InputError(f"{where}.choices={values!r:.200}: a value is there twice.")
    return Choices(values)


def _numbers(raw: dict, where: str) -> Numbers:
    for key in ("low", "high"):
        if key not in raw:
            raise InputError(f"{where}.{key}: missing; expected {{low: ..., high: ...}} or {{choices: [...]}}.")
        _check_number(raw[key], f"{where}.{key}")
    low, high, log, step = raw["low"], raw["high"], raw.get("log", False), raw.get("step")
    if low > high:
        raise InputError(f"{where}: low={low} is above high={high}.")
    if not isinstance(log, bool):
        raise InputError(f"{where}.log={log!r}: expected true or false.")
    if log and low <= 0:
        raise InputError(f"{where}.low={low}: with log: true it must be above 0.")
    if step is not None:
        _check_step(step, raw, where)
    if not (isinstance(low, int) and isinstance(high, int)):
        low, high = float(low), float(high)
    return Numbers(low, high, log, step)


def _check_number(value, where: str):
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{where}={value!r}: expected a number.")


def _check_step(step, raw: dict, where: str):
    _check_number(step, f"{where}.step")
    if raw.get("log"):
        raise InputError(f"{where}: step and log: true do not go together. Remove one of them.")
    num_steps = (raw["high"] - raw["low"]) / step if step > 0 else 0.5
    whole = isinstance(raw["low"], int) and isinstance(raw["high"], int)
    if abs(num_steps - round(num_steps)) > 1e-9 or (whole and not isinstance(step, int)):
        raise InputError(f"{where}.step={step}: expected a step that leads from {raw['low']} to {raw['high']}.")
