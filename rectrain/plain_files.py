"""JSON, YAML and NumPy files as plain values: data alone, whoever wrote them."""

import json
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np
import yaml  # comes with OmegaConf

# What NumPy raises where a file is no array; its header is parsed as a Python literal.
_NO_ARRAY = (
    EOFError,
    KeyError,
    SyntaxError,
    TypeError,
    MemoryError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


class _Plain(yaml.SafeLoader):
    """No aliases: a few lines of them stand for more values than any memory holds."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"an alias, *{self.peek_event().anchor}; expected plain values")
        return super().compose_node(parent, index)


def read_json(path: Path):
    """Raises OSError, or ValueError where the file does not hold JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("brackets within brackets, deeper than any file of ours") from None


def read_yaml(path: Path):
    """Raises OSError, or ValueError where the file does not hold YAML."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Plain)  # a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from error


def read_array(path: Path, like: np.ndarray) -> np.ndarray:
    """The array of an .npy file. Raises OSError, or ValueError where it has another type or shape than `like`."""
    try:
        found = np.load(path, allow_pickle=False)
    except _NO_ARRAY as error:
        raise ValueError(str(error)) from error
    _check_like(found, like, path.name)
    return found


def map_array(path: Path) -> np.ndarray:
    """The array of an .npy file, read as it is touched. Raises OSError, or ValueError where the file holds none."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except _NO_ARRAY as error:
        raise ValueError(f"{path.name}: {error}") from error


def read_arrays(path: Path, like: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same of the arrays of an .npz file, which are stored as they are: what it takes is what memory holds."""
    found = _stored_arrays(path, list(like))
    for name, array in found.items():
        _check_like(array, like[name], name)
    return found


def read_all_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, of any type and shape. Raises OSError, or ValueError where it holds none."""
    return _stored_arrays(path, None)


def _stored_arrays(path: Path, names: list[str] | None) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("compressed arrays, where stored ones were written")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in (arrays.files if names is None else names)}
    except (*_NO_ARRAY, NotImplementedError) as error:
        raise ValueError(str(error)) from error


def _check_like(found, like: np.ndarray, name: str):
    received = (getattr(found, "dtype", None), getattr(found, "shape", None))
    if received != (like.dtype, like.shape):
        raise ValueError(f"{name} is {received[0]} of shape {received[1]}; expected {like.dtype} of shape {like.shape}")
