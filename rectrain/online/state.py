"""What an online run has learned, on disk: whole or as it was before.

checkpoints/rows-<12 digits>[-again]/   the learner's files, progressive-<task>.npz and state.json
checkpoints/index.json                  {"folder": name}, replaced after each save
"""

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rectrain.config import NumRows, parse
from rectrain.errors import InputError
from rectrain.plain_files import read_json
from rectrain.run_dir import write_whole
from rectrain.same_config import check_same


@dataclass
class OnlineState:
    """Plain values of a run; what arrays there are lie beside them."""

    fixed: dict  # the parts of the config that may not change
    rows: NumRows = 0  # learned from
    done: dict[str, NumRows] = field(default_factory=dict)  # rows of each file
    quarantine: dict = field(default_factory=dict)  # its marks
    windows: list[dict] = field(default_factory=list)
    next_report: NumRows = 0
    seconds: float = 0.0


@dataclass
class _Figures:
    """Of one task in a window, as Progressive gives them."""

    rows: NumRows
    logloss: float | None
    auc: float | None
    base_rate: float | None


_WINDOW = {
    "rows": NumRows,
    "seconds": float,
    "window": dict[str, _Figures],
    "overall": dict[str, _Figures],
    "nonzero_weights": NumRows,
}
_MARKS = {"count": NumRows, "bytes": NumRows, "lines": dict[str, NumRows], "rows": dict[str, NumRows]}
_PLACE = re.compile(r"rows-\d+(-again)?")


def save(folder: Path, state: OnlineState, write: Callable[[Path], None]):
    """`write` puts the arrays into the folder that it is given.

    Raises:
        InputError: the folder cannot be written; what was saved before is untouched.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".saving-", dir=folder))
        try:
            write(aside)
            (aside / "state.json").write_text(json.dumps(asdict(state)), encoding="utf-8")
            place = _free_place(folder, state.rows)
            aside.rename(place)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        write_whole(folder / "index.json", json.dumps({"folder": place.name}))
    except OSError as error:
        raise InputError(
            f"cannot write what was learned under {folder}: {error.strerror or error}. What was saved before is "
            "untouched. Make room, or choose another place with hydra.run.dir."
        ) from error
    _remove_others(folder, place)


def _remove_others(folder: Path, kept: Path):
    for old in (*folder.glob("rows-*"), *folder.glob(".saving-*")):
        if old != kept:
            shutil.rmtree(old, ignore_errors=True)


def load(folder: Path, fixed: dict) -> tuple[OnlineState, Path] | None:
    """The newest state and the folder of its arrays; None where nothing was saved.

    Raises:
        InputError: it is damaged, or that of another config.
    """
    place = newest(folder)
    if place is None:
        return None
    try:
        state = parse(OnlineState, read_json(place / "state.json"), "")
        _check_parts(state)
    except (OSError, ValueError) as error:
        raise _damaged(place, error) from error
    check_same(state.fixed, fixed, folder)
    return state, place


def _check_parts(state: OnlineState):
    marks = _MARKS if state.quarantine else {}
    found = [
        ("quarantine", marks, state.quarantine),
        *((f"windows[{i}]", _WINDOW, w) for i, w in enumerate(state.windows)),
    ]
    for name, kinds, part in found:
        for key, kind in kinds.items():
            parse(kind, part.get(key), f"{name}.{key}")


def check_tasks(state: OnlineState, tasks: list[str], place: Path):
    """Raises InputError where the figures of a window are not those of these tasks."""
    for window in state.windows:
        for part in ("window", "overall"):
            if sorted(window[part]) != sorted(tasks):
                raise _damaged(place, ValueError(f"figures of {', '.join(window[part])}; expected {', '.join(tasks)}"))


def newest(folder: Path) -> Path | None:
    """The folder that was saved last; None where nothing was.

    Raises:
        InputError: the index is damaged.
    """
    index = folder / "index.json"
    if not index.exists():
        return None
    try:
        name = parse(str, read_json(index)["folder"], "folder")
        if not _PLACE.fullmatch(name):
            raise ValueError(f"folder={name}: expected a name like rows-000000001000")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(index, error) from error
    return folder / name


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is damaged ({error}); expected the state that an online run left.")


def _free_place(folder: Path, rows: int) -> Path:
    """Not the one in the index, which stays whole until the next is there; what a killed run left there goes."""
    taken = newest(folder)
    name = f"rows-{rows:012d}"
    place = folder / (f"{name}-again" if taken is not None and taken.name == name else name)
    shutil.rmtree(place, ignore_errors=True)
    return place
