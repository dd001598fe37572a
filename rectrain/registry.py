"""Finds models, optimizers and readers by file name, and reads what `build` takes from their source.

The source is parsed, not imported, so that a wrong knob is refused before TensorFlow is loaded.
"""

import ast
import functools
import importlib
from pathlib import Path

from rectrain.config import check_keys, describe, parse
from rectrain.errors import InputError, did_you_mean

_ROOT = Path(__file__).parent
_PLAIN = {"int": int, "float": float, "str": str, "bool": bool, "None": type(None)}


def names(room: str, function: str = "build") -> list[str]:
    """Files of rectrain/<room>/ that define `function`."""
    return sorted(p.stem for p in (_ROOT / room).glob("*.py") if _find(p, function) is not None)


def functions(room: str, name: str) -> list[str]:
    """Those that rectrain/<room>/<name>.py defines."""
    tree = ast.parse((_ROOT / room / f"{name}.py").read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def load(room: str, name: str, function: str = "build"):
    """The function itself; imports its module."""
    return getattr(importlib.import_module(f"rectrain.{room.replace('/', '.')}.{name}"), function)


def check_name(room: str, name: str, key: str, function: str = "build"):
    known = names(room, function)
    if name not in known:
        raise InputError(f"{key}={name}: there is no rectrain/{room}/{name}.py.{did_you_mean(name, known)}")


def check_settings(room: str, name: str, settings: dict, key: str) -> dict:
    """`settings` checked against the keyword arguments of `build` in rectrain/<room>/<name>.py.

    Raises:
        InputError: unknown name, unknown, missing or mistyped setting; the message names `key`.<setting>.
    """
    check_name(room, name, f"{key}.name")
    wanted = keyword_types(room, name)
    check_keys(settings, wanted, key)
    for knob, kind in wanted.items():
        if knob not in settings:
            raise InputError(f"{key}.{knob}: missing; {name} expects {describe(kind)}.")
    return {knob: parse(wanted[knob], value, f"{key}.{knob}") for knob, value in settings.items()}


def keyword_types(room: str, name: str) -> dict[str, type]:
    """Keyword-only arguments of `build` with their types, read from the source."""
    function = _find(_ROOT / room / f"{name}.py", "build")
    assert function is not None
    return {a.arg: _type(a.annotation) for a in function.args.kwonlyargs}


@functools.cache  # a sweep asks the same of each job
def _find(path: Path, function: str) -> ast.FunctionDef | None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function), None)


def _type(node):
    """int, float, str, bool, lists of them, and `| None`."""
    if isinstance(node, ast.BinOp):
        return _type(node.left) | _type(node.right)
    if isinstance(node, ast.Subscript):
        return list[_type(node.slice)]
    return _PLAIN[ast.unparse(node)]
