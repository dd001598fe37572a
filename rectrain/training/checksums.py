"""A folder that is known to be whole: checksums.json holds the SHA-256 of every other file in it."""

import hashlib
import json
from pathlib import Path

from rectrain.errors import InputError
from rectrain.run_dir import to_disk

_CHECKSUMS = "checksums.json"


def seal(folder: Path):
    """Writes the checksums of the files in `folder`, and waits until all of it is on the disk.

    Raises:
        OSError: the folder cannot be written.
    """
    sums = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    (folder / _CHECKSUMS).write_text(json.dumps(sums, indent=1), encoding="utf-8")
    for path in (*folder.iterdir(), folder):
        to_disk(path)


def check_whole(folder: Path):
    """
    Raises:
        InputError: a file is missing, or other than it was written.
    """
    try:
        sums = json.loads((folder / _CHECKSUMS).read_text(encoding="utf-8"))
        damaged = [name for name, told in sums.items() if _sha256(folder / name) != told]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{folder} is damaged ({error}).") from error
    if damaged:
        raise InputError(f"{folder} is damaged ({', '.join(damaged)}: not as written).")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
