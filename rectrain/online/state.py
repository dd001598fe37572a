"""What an online run has learned, on disk: whole or as it was before.

checkpoints/rows-<12 digits>[-again]/   the learner's files, progressive-<task>.npz, state.json and checksums.json
checkpoints/index.json                  {"folders": [newest, the one before]}, replaced after each save
"""

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rectrain.config import NumRows, parse
from rectrain.console import say
from rectrain.errors import InputError
from rectrain.plain_files import read_json
from rectrain.run_dir import to_disk, write_whole
from rectrain.same_config import check_same
from rectrain.training.checksums import check_whole, seal


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
_INDEX = "index.json"
_PLACE = re.compile(r"rows-\d+(-again)?")


def save(folder: Path, state: OnlineState, write: Callable[[Path], None]):
    """`write` puts the arrays into the folder that it is given.

    Raises:
        InputError: the folder cannot be written; what was saved before is untouched.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = _places(folder)[:1]
        _remove_others(folder, before)
        aside = Path(tempfile.mkdtemp(prefix=".saving-", dir=folder))
        try:
            write(aside)
            (aside / "state.json").write_text(json.dumps(asdict(state)), encoding="utf-8")
            seal(aside)
            place = _free_place(folder, state.rows, before)
            aside.rename(place)
            to_disk(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        write_whole(folder / _INDEX, json.dumps({"folders": [path.name for path in (place, *before)]}))
    except OSError as error:
        raise InputError(
            f"cannot write what was learned under {folder}: {error.strerror or error}. What was saved before is "
            "untouched. Make room, or choose another place with hydra.run.dir."
        ) from error


def _remove_others(folder: Path, kept: list[Path]):
    for old in (*folder.glob("rows-*"), *folder.glob(".saving-*")):
        if old not in kept:
            shutil.rmtree(old, ignore_errors=True)


def _free_place(folder: Path, rows: int, taken: list[Path]) -> Path:
    """Not that of the state before, which stays."""
    place = folder / f"rows-{rows:012d}"
    return place.with_name(f"{place.name}-again") if place in taken else place


def load(folder: Path, fixed: dict) -> tuple[OnlineState, Path] | None:
    """The newest state that is whole and the folder of its arrays; None where nothing was saved.

    Raises:
        InputError: none is whole, or it is that of another config.
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
    if place != _places(folder)[0]:  # else the next save would keep the damaged one and remove this
        write_whole(folder / _INDEX, json.dumps({"folders": [place.name]}))
    return state, place


def newest(folder: Path) -> Path | None:
    """The folder that was saved last and is whole, says which are not; None where nothing was saved.

    Raises:
        InputError: none is whole, or the index is damaged.
    """
    places = _places(folder)
    for place in places:
        try:
            check_whole(place)
        except InputError as error:
            say(f"{error} The state before it is used, if there is one.")
            continue
        return place
    if places:
        raise InputError(f"{folder}: no state is whole that an online run left. Start anew in another hydra.run.dir.")
    return None


def _places(folder: Path) -> list[Path]:
    """Those in the index, the newest first.

    Raises:
        InputError: the index is damaged.
    """
    index = folder / _INDEX
    if not index.exists():
        return []
    try:
        names = parse(list[str], read_json(index)["folders"], "folders")
        for name in names:
            if not _PLACE.fullmatch(name):
                raise ValueError(f"folders: {name}; expected a name like rows-000000001000")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(index, error) from error
    return [folder / name for name in names]


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


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is damaged ({error}); expected the state that an online run left.")
