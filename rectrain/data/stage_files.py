"""What the stages of a preparation leave for each other, in a folder that all machines see.

    <prepared_dir>/<name>-<hash>.stages/
        key.json            all that decides the bytes of the dataset
        count/00003.npz     what a split must know of a file's rows; count.npz: of all files
        fit/00003.npz       what a file's training rows came to, and its rows of each split; fit.npz: rows of all files
        prepared/           vocabularies and schema, then shards: what becomes the dataset
        tmp/                what is being written, and what killed processes left

Each file is written in tmp/ under a name of its own and renamed when it is whole. The bytes do not depend on who writes
them, so two processes that do the same work replace each other's file by its equal.
"""

import contextlib
import os
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from rectrain.data.passes import RawFile
from rectrain.errors import InputError
from rectrain.plain_files import read_all_arrays
from rectrain.run_dir import to_disk

SUFFIX = ".stages"


class StageFiles:
    """
    Args:
        dataset: where the dataset will lie.
    """

    def __init__(self, dataset: Path):
        self.path = dataset.with_name(dataset.name + SUFFIX)
        self.key = self.path / "key.json"
        self.prepared = self.path / "prepared"

    def missing(self, stage: str, files: list[RawFile]) -> list[RawFile]:
        """Those of `files` that the stage has not done."""
        there = self._names(self.path / stage)
        return [file for file in files if _name(file) not in there]

    def shards(self) -> set[str]:
        """Names of what lies in `prepared`."""
        return self._names(self.prepared)

    def _names(self, folder: Path) -> set[str]:
        try:
            return set(os.listdir(folder))
        except FileNotFoundError:
            return set()

    def put_file(self, stage: str, file: RawFile, arrays: Mapping[str, np.ndarray]):
        (self.path / stage).mkdir(exist_ok=True)
        self._put_arrays(self.path / stage / _name(file), arrays)

    def file(self, stage: str, file: RawFile) -> dict[str, np.ndarray]:
        return self._arrays(self.path / stage / _name(file), stage)

    def put_all(self, stage: str, arrays: Mapping[str, np.ndarray]):
        self._put_arrays(self.path / f"{stage}.npz", arrays)

    def all(self, stage: str) -> dict[str, np.ndarray] | None:
        """What is known of all files after a stage; None before."""
        path = self.path / f"{stage}.npz"
        return self._arrays(path, stage) if path.exists() else None

    def put_key(self, text: str):
        self.put(self.key, lambda file: file.write(text.encode()))

    def temporary(self) -> Path:
        """A new folder for what is not whole yet."""
        path = self.path / "tmp" / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        path.mkdir(parents=True)
        return path

    @contextlib.contextmanager
    def whole_folder(self, path: Path) -> Iterator[Path]:
        """A folder that becomes `path` at the end, unless another process was first."""
        aside = self.temporary()
        try:
            yield aside
            for file in aside.rglob("*"):
                to_disk(file)
            aside.rename(path)
        except OSError:
            if not path.exists():
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def put(self, path: Path, write: Callable[[IO[bytes]], object]):
        aside = self.temporary()
        try:
            with open(aside / path.name, "wb") as file:
                write(file)
            self.move(aside / path.name, path)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def move(self, aside: Path, path: Path):
        """Puts a file in place that is whole."""
        to_disk(aside)
        aside.replace(path)

    def _put_arrays(self, path: Path, arrays: Mapping[str, np.ndarray]):
        self.put(path, lambda file: np.savez(file, allow_pickle=False, **arrays))

    def _arrays(self, path: Path, stage: str) -> dict[str, np.ndarray]:
        try:
            return read_all_arrays(path)
        except ValueError as error:
            raise InputError(
                f"{path} is damaged ({error}). Remove it, and run prepare.stage={stage} again: it does what is missing."
            ) from error


def _name(file: RawFile) -> str:
    return f"{file.index:05d}.npz"
