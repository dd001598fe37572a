"""Which files a data set is read from: the ones that are named, those of its folder, or the built-in sample."""

import difflib
import glob
import os
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from rectrain.config import DataConfig, SampleConfig
from rectrain.data import sample
from rectrain.data.readers import parquet
from rectrain.data.readers.checks import check_file
from rectrain.data.readers.rows import STANDARD_INPUT
from rectrain.data.reading import is_partition
from rectrain.data.sample import SampleInfo
from rectrain.data.writing import locked
from rectrain.errors import InputError, did_you_mean

_SPLITS = ("train", "valid", "test")
_DASH = str(STANDARD_INPUT)


@dataclass(frozen=True)
class Sources:
    """Files in reading order, by split where data.split.by=files, else under "all"."""

    kind: Literal["files", "sample"]
    files: dict[str, list[Path]]
    sample: SampleInfo | None


def find_files(data: DataConfig, *, standard_input: bool = False) -> Sources:
    """The files of a data set; writes the built-in sample if that is what is read, and not there yet.

    Args:
        standard_input: data.files=- is allowed: the caller reads files only once.
    Raises:
        InputError: a file that is named and missing, empty, unreadable or named twice; no files and no sample; keys
            that contradict each other.
    """
    if data.source == "sample":
        _refuse_files(data)
        return _sample(data)
    if data.split.by == "files":
        return Sources("files", _files_by_split(data), None)
    if standard_input and data.files in (_DASH, [_DASH]):
        _check_standard_input(data)
        return Sources("files", {"all": [STANDARD_INPUT]}, None)
    if data.files is not None:
        return Sources("files", {"all": _named(data.files, "data.files", data.patterns, {})}, None)
    found = [] if data.folder is None else _in_folder(os.path.expanduser(data.folder), "data.folder", data.patterns)
    if found:
        for path in found:
            check_file(path, "data.folder")
        return Sources("files", {"all": found}, None)
    if data.source == "files" or data.sample is None:
        raise _no_files(data)
    return _sample(data)


def named_files(entries: str | list[str], key: str, patterns: list[str]) -> list[Path]:
    """The files that a key other than data.files names: paths, globs or folders.

    Raises:
        InputError: one is missing, empty, unreadable or named twice.
    """
    return _named(entries, key, patterns, {})


def _check_standard_input(data: DataConfig):
    if data.format.reader != "csv":
        raise InputError(
            f"data.files=-: standard input is read as delimited text, but data.format.reader={data.format.reader}. "
            "Set data.format.reader=csv, or name files with data.files."
        )
    if data.format.header:
        raise InputError(
            "data.files=-: data.format.header=true, but standard input can be read only once, and a header is read "
            "before the rows. Pass the rows alone (tail -n +2), set data.format.header=false, and name the columns "
            "with data.format.columns."
        )


def _refuse_files(data: DataConfig):
    if data.sample is None:
        raise InputError(
            f"data.source=sample: the data set {data.name} has no built-in sample. "
            "Set data.source=files and name files with data.files, or give the data set a data.sample."
        )
    for key, value in (("data.files", data.files), ("data.split.files", data.split.files)):
        if value is not None:
            raise InputError(
                f"data.source=sample reads no files, but {key} names some: {value}. "
                f"Set data.source=files to read them, or {key}=null for the sample."
            )


def _no_files(data: DataConfig) -> InputError:
    instead = "" if data.sample is None else "; data.source=auto would take the built-in sample"
    if data.folder is None:
        return InputError(f"{data.name}: data.folder and data.files are null. Name the files with data.files{instead}.")
    return InputError(
        f"{data.name}: no files in data.folder={data.folder} ({_absolute(data.folder)}); expected "
        f"{' or '.join(data.patterns)} (data.patterns). Put the "
        f"files there (data/README.md says where to get them) or name others with data.files{instead}."
    )


def _sample(data: DataConfig) -> Sources:
    assert data.sample is not None
    path = _sample_path(data.sample, data.prepared_dir)
    info = _read_info(path) or _write_sample(data, path)
    return Sources("sample", {"all": [path]}, info)


def _write_sample(data: DataConfig, path: Path) -> SampleInfo:
    """One process draws it; others that ask for it meanwhile wait, as a file that is replaced is another file."""
    assert data.sample is not None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.parent / f".{path.name}.lock", lambda: None):
            return _read_info(path) or sample.write(data.sample.layout, path, **_drawn_by(data.sample))
    except OSError as error:
        raise InputError(
            f"data.prepared_dir={data.prepared_dir}: the built-in sample cannot be written to {_absolute(path)} "
            f"({error.strerror or error}). Set data.prepared_dir to a folder with room where you may write."
        ) from error


def _sample_path(config: SampleConfig, prepared_dir: str) -> Path:
    drawn_by = _drawn_by(config)
    sample.check(config.layout, **drawn_by)
    return Path(os.path.expanduser(prepared_dir)).parent / "sample" / sample.place(config.layout, **drawn_by)


def _drawn_by(config: SampleConfig) -> dict:
    return {"rows": config.rows, "seed": config.seed, "truth": config.truth}


def _read_info(path: Path) -> SampleInfo | None:
    """Of a sample that is there and whole: its info is written before it takes its place."""
    if not os.path.isfile(path):
        return None
    try:
        return SampleInfo.read(path)
    except (OSError, ValueError, TypeError):  # lost, cut short, or of another version
        return None


def _files_by_split(data: DataConfig) -> dict[str, list[Path]]:
    named = data.split.files
    assert named is not None
    if data.files is not None:
        raise InputError(
            f"data.split.by=files reads data.split.files, but data.files names files too: {data.files}. "
            "Set data.files=null, or split data.files another way with data.split.by."
        )
    for split in named:
        if split not in _SPLITS:
            raise InputError(f"data.split.files.{split}: no such split.{did_you_mean(split, _SPLITS)}")
    if "train" not in named:
        raise InputError("data.split.by=files needs data.split.files.train: paths, globs or folders; it is missing.")
    seen: dict[str, str] = {}
    keys = {split: f"data.split.files.{split}" for split in _SPLITS if split in named}
    return {split: _named(named[split], key, data.patterns, seen) for split, key in keys.items()}


def _named(entries: str | list[str], key: str, patterns: list[str], seen: dict[str, str]) -> list[Path]:
    """Files of all entries in their order, each there, readable and not empty.

    Args:
        patterns: which files of a folder are meant.  seen: real path -> who named it; gains these files.
    """
    entries = [entries] if isinstance(entries, str) else entries
    if not entries or not all(entry.strip() for entry in entries):
        raise InputError(f"{key}={entries}: names no file; expected paths, globs or folders.")
    if _DASH in entries:
        raise InputError(
            f"{key}={entries}: standard input can be read only once; `rectrain online` reads it, where data.files=- "
            "stands alone. Name files here: write standard input to one first, and call a file of that name ./-."
        )
    found = [(entry, path) for entry in entries for path in _matches(entry, key, patterns)]
    for entry, path in found:
        check_file(path, key)
        by = f"{key} ({entry})"
        first = seen.setdefault(os.path.realpath(path), by)
        if first is not by:
            raise InputError(f"{path} is named twice, by {first} and by {by}. Expected each file once; drop one.")
    return [path for _, path in found]


def _matches(entry: str, key: str, patterns: list[str]) -> list[Path]:
    path = os.path.expanduser(entry)
    if os.path.isdir(path):
        found = _in_folder(path, key, patterns)
    elif os.path.exists(path):
        found = [_on_disk(path)]
    else:
        found = _of_glob(path, key, patterns)
    if not found:
        raise _no_match(entry, key, patterns)
    return found


def _of_glob(path: str, key: str, patterns: list[str]) -> list[Path]:
    """Files, and those of partitions, that a glob matches; sorted, each once."""
    found: dict[Path, None] = {}
    for match in sorted(glob.glob(path, recursive=True), key=Path):
        if not os.path.isdir(match):
            found[_on_disk(match)] = None
        elif is_partition(Path(match).name):
            found |= dict.fromkeys(_listed(match, key, patterns))
    return _with_rows(list(found))


def _on_disk(path: str) -> Path:
    """A file called - by its whole path, as alone it means standard input."""
    return Path(_absolute(path)) if Path(path) == STANDARD_INPUT else Path(path)


def _in_folder(folder: str, key: str, patterns: list[str]) -> list[Path]:
    """Its files of data and those of its partitions, sorted; none where there is no such folder."""
    return _with_rows(_listed(folder, key, patterns))


def _with_rows(paths: list[Path]) -> list[Path]:
    """Without parquet files of no row, which engines that write tables in parts write too; all where all are empty."""
    return [path for path in paths if path.suffix != ".parquet" or not parquet.is_empty(path)] or paths


def _listed(folder: str, key: str, patterns: list[str]) -> list[Path]:
    found = []
    try:
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if name.startswith((".", "_")):  # hidden, or of the engine that wrote the folder
                continue
            if os.path.isdir(path):
                found += _listed(path, key, patterns) if is_partition(name) else []
            elif any(fnmatch(name.lower(), pattern) for pattern in patterns):
                found.append(_on_disk(path))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(
            f"{key}={folder}: the folder cannot be read: {_absolute(folder)} ({error.strerror or error}). "
            "Expected a folder that you may list; a single file is named with data.files."
        ) from error
    return found


def _no_match(entry: str, key: str, patterns: list[str]) -> InputError:
    absolute = Path(_absolute(entry))
    none = f"The folder holds no {' or '.join(patterns)} (data.patterns)."
    there = none if absolute.is_dir() else _what_is_near(absolute)
    return InputError(
        f"{key}: {entry!r} names no file ({absolute}). Expected a path, a glob or a folder of files. {there}"
    )


def _what_is_near(path: Path) -> str:
    """What a person would look up next: the folder's names like the one that is missing, or why there is none."""
    folder = path.parent
    while glob.has_magic(str(folder)):
        folder = folder.parent
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        public = " data/README.md says where to get public data sets." if isinstance(error, FileNotFoundError) else ""
        return f"The folder {folder} cannot be read ({error.strerror or error}).{public}"
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    if near:
        return f"Did you mean {' or '.join(map(repr, near))}?"
    return f"{folder} holds {len(names)} file{'s' * (len(names) != 1)}{': ' if names else ''}{', '.join(names[:5])}."


def _absolute(path: str | Path) -> str:
    return os.path.abspath(os.path.expanduser(path))
