"""What an online run has learned, on disk: whole or as it was before.

checkpoints/rows-<12 digits>[-again]/   the learner's files, progressive-<task>.npz and state.json
checkpoints/index.json                  {"folder": name}, replaced after each save
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rectrain.errors import InputError
from rectrain.run_dir import write_whole
from rectrain.same_config import check_same


@dataclass
class OnlineState:
    """Plain values of a run; what arrays there are lie beside them."""

    fixed: dict  # the parts of the config that may not change
    rows: int = 0  # learned from
    done: dict[str, int] = field(default_factory=dict)  # rows of each file
    quarantine: dict = field(default_factory=dict)  # its marks
    windows: list[dict] = field(default_factory=list)
    next_report: int = 0
    seconds: float = 0.0


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
        state = OnlineState(**json.loads((place / "state.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(place, error) from error
    check_same(state.fixed, fixed, folder)
    return state, place


def newest(folder: Path) -> Path | None:
    """The folder that was saved last; None where nothing was.

    Raises:
        InputError: the index is damaged.
    """
    index = folder / "index.json"
    if not index.exists():
        return None
    try:
        return folder / json.loads(index.read_text(encoding="utf-8"))["folder"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(index, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is damaged ({error}); expected the state that an online run left.")


def _free_place(folder: Path, rows: int) -> Path:
    """Not the one in the index, which stays whole until the next is there; what a killed run left there goes."""
    index = folder / "index.json"
    taken = json.loads(index.read_text(encoding="utf-8"))["folder"] if index.exists() else None
    name = f"rows-{rows:012d}"
    place = folder / (f"{name}-again" if taken == name else name)
    shutil.rmtree(place, ignore_errors=True)
    return place
