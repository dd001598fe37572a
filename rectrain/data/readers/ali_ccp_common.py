"""The file of common features of Ali-CCP, too large for memory: an index of its lines, which are read one by one.

A line is key,number of features,feature list. Of each the index holds a hash of the key and the place of the line, 16
bytes; whether a line found by its hash is the one, its key tells.
"""

import contextlib
import functools
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rectrain.data.readers import rows
from rectrain.data.readers.checks import check_file
from rectrain.data.readers.rows import Row
from rectrain.errors import InputError

CACHE_LINES = 2_048  # kept of those that were read last, of about 14 kB each


@dataclass(frozen=True)
class Index:
    """Where lines begin. hashes: int64 (K,), rising.  offsets: int64 (K,), bytes from the start of the file."""

    hashes: np.ndarray
    offsets: np.ndarray

    def candidates(self, hashed: int) -> list[int]:
        """Offsets of the lines whose key has this hash."""
        first, last = (np.searchsorted(self.hashes, hashed, side=side) for side in ("left", "right"))
        return self.offsets[first:last].tolist()


class CommonFeatures:
    """The feature lists of one file by their key."""

    def __init__(self, path: Path, file: BinaryIO):
        self.path, self._file = path, file
        self.index = _index(path, path.stat().st_mtime_ns)
        self.find = functools.lru_cache(CACHE_LINES)(self._find)

    def place(self, key: str) -> str:
        """Where the line of a key stands; reads the file up to there."""
        for offset in self.index.candidates(_hash(key.encode())):
            if _line(self._file, offset).startswith(f"{key},".encode()):
                return _place(self.path, self._file, offset)
        raise AssertionError(f"{self.path} has no {key}")

    def _find(self, key: str) -> str | None:
        """The feature list of a key; None: there is no such line."""
        for offset in self.index.candidates(_hash(key.encode())):
            found, features = self._cells(offset)
            if found == key:
                return features
        return None

    def _cells(self, offset: int) -> tuple[str, str]:
        """Key and feature list of the line at an offset."""
        try:
            cells = _line(self._file, offset).decode().split(",")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{_place(self.path, self._file, offset)} is not UTF-8 ({error.reason}). Fetch the file again."
            ) from error
        if len(cells) != 3:
            raise InputError(
                f"{_place(self.path, self._file, offset)} has {len(cells)} cells; expected 3, key,number of features,"
                "feature list. Mend the line, or fetch the file again."
            )
        return cells[0], cells[2]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[CommonFeatures]:
    """The file for as long as the block runs.

    Raises:
        InputError: it cannot be read, a line has no key, or two have the same.
    """
    check_file(path)
    with open(path, "rb") as file:
        yield CommonFeatures(path, file)


@functools.lru_cache(maxsize=2)
def _index(path: Path, changed: int) -> Index:
    """Kept for the next pass; of two files, as training and test rows may have one each."""
    hashes, offsets = array("q"), array("q")
    with open(path, "rb") as file:
        for offset, key in _keys(path, file):
            hashes.append(_hash(key))
            offsets.append(offset)
        order = np.argsort(np.frombuffer(hashes, np.int64), kind="stable")
        index = Index(np.frombuffer(hashes, np.int64)[order], np.frombuffer(offsets, np.int64)[order])
        _check_distinct(path, file, index)
    return index


def _keys(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(offset, key) of each line that is not blank."""
    offset = 0
    for number, line in enumerate(iter(lambda: file.readline(rows.LINE_BYTES), b""), 1):
        row = Row(number, line.rstrip(b"\r\n"), 0)
        if len(line) == rows.LINE_BYTES:
            raise rows.too_long(path, row)
        if row.data:
            key, comma, _ = row.data[:256].partition(b",")
            if not key or not comma:
                raise InputError(
                    f"{rows.place(path, row)}: no key of at most 255 bytes. Expected key,number of features,feature "
                    "list; mend the line, or fetch the file again."
                )
            yield offset, key
        offset += len(line)


def _check_distinct(path: Path, file: BinaryIO, index: Index):
    for hashed in np.unique(index.hashes[1:][np.diff(index.hashes) == 0]).tolist():
        known = set()
        for offset in index.candidates(hashed):  # in the order of the file
            key = _line(file, offset).partition(b",")[0]
            if key in known:
                raise InputError(
                    f"{_place(path, file, offset)}: common feature index {key.decode(errors='replace')!r} a second "
                    "time. Expected one line each; drop one."
                )
            known.add(key)


def _hash(key: bytes) -> int:
    """64 bits, another number in another process."""
    return hash(key)


def _line(file: BinaryIO, offset: int) -> bytes:
    file.seek(offset)
    return file.readline().rstrip(b"\r\n")


def _place(path: Path, file: BinaryIO, offset: int) -> str:
    file.seek(0)
    number, left = 1, offset
    while left:
        piece = file.read(min(left, rows.CHUNK_BYTES))
        number, left = number + piece.count(b"\n"), left - len(piece)
    return rows.place(path, Row(number, _line(file, offset), 0))
