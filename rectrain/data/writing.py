"""A folder that appears whole or not at all, and one writer at a time."""

import contextlib
import fcntl
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from rectrain.errors import CANNOT_WRITE, InputError


@contextlib.contextmanager
def explained(folder: Path, key: str) -> Iterator[None]:
    """Turns what keeps us from writing below `folder`, the value of the config key, into an InputError."""
    try:
        yield
    except OSError as error:
        if error.errno not in CANNOT_WRITE:
            raise
        raise InputError(
            f"{key}={folder}: cannot write there: {CANNOT_WRITE[error.errno]} ({error}). Make room, or set {key} to"
            " another folder."
        ) from error


@contextlib.contextmanager
def locked(path: Path, when_waiting: Callable[[], object]) -> Iterator[None]:
    """Holds an exclusive lock; a process that dies lets go of it."""
    with open(path, "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            when_waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that becomes it at the end; an error leaves nothing.

    What a killed process left behind is removed first, so the caller must hold a lock on `folder`.
    """
    prefix = f".{folder.name}."
    for path in folder.parent.iterdir():
        if path.name.startswith(prefix) and path.is_dir():
            shutil.rmtree(path)
    temporary = folder.parent / f"{prefix}{uuid.uuid4().hex[:8]}"
    temporary.mkdir()
    try:
        yield temporary
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
