"""A prepared dataset on disk: what its name stands for, and reading it back.

    <prepared_dir>/<name>-<first 16 digits of hash>/
        train-00000.parquet ...  valid-...  test-...
        vocab/<column>.parquet   schema.json   manifest.json

The hash is that of the key: the parts of the config and of the raw files that decide the bytes. The manifest holds the
whole key.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rectrain.config import DataConfig, HistoryConfig, NumRows, parse
from rectrain.data.sample import SampleInfo
from rectrain.errors import InputError
from rectrain.plain_files import read_json
from rectrain.schema import Schema

FORMAT_VERSION = 5  # raise it when the same key would give other bytes
MANIFEST = "manifest.json"
SCHEMA = "schema.json"
_READ = {
    "source": Literal["files", "sample"],
    "rows": dict[str, NumRows],
    "positives": dict[str, dict[str, NumRows]],
    "prepared_bytes": NumRows,
    "sample": SampleInfo | None,
    "key": dict,
}
_LENGTHS = ("max_length", "long_length", "hits_length")  # of data.history


@dataclass(frozen=True)
class Prepared:
    """A finished dataset."""

    folder: Path
    schema: Schema
    manifest: dict

    @staticmethod
    def load(folder: Path) -> "Prepared":
        """Raises InputError where the folder is not a whole prepared dataset."""
        try:
            manifest = read_json(folder / MANIFEST)
            _check(manifest)
            prepared = Prepared(folder, Schema.read(folder / SCHEMA), manifest)
        except (OSError, ValueError) as error:
            raise _damaged(folder, str(error)) from error
        if num_bytes(folder) != manifest["prepared_bytes"]:
            raise _damaged(folder, f"{manifest['prepared_bytes']:,} bytes expected, {num_bytes(folder):,} found")
        return prepared

    def with_lengths(self, history: HistoryConfig | None) -> "Prepared":
        """The lengths of histories as this config has them: they decide what is read, not what is stored."""
        if history is None:
            return self
        return dataclasses.replace(self, schema=self.schema.with_lengths(_lengths(history)))

    def shards(self, split: str) -> list[Path]:
        """Parquet files in the order of the rows; none where the split is absent."""
        return sorted(self.folder.glob(f"{split}-*.parquet"))

    def rows(self, split: str) -> int:
        return self.manifest["rows"].get(split, 0)


def _check(manifest):
    """That it holds what commands read, each of its type."""
    parse(dict[str, Any], manifest, MANIFEST)
    for name, kind in _READ.items():
        if name not in manifest:
            raise InputError(f"{MANIFEST}: {name} is missing")
        parse(kind, manifest[name], f"{MANIFEST}: {name}")


def _damaged(folder, why):
    return InputError(
        f"{folder} is not a whole prepared dataset ({why}). Remove the folder; the next run prepares it"
        " again. Its place is data.prepared_dir."
    )


def num_bytes(folder: Path) -> int:
    """Of all files but the manifest."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)


def source_files(files: dict[str, list[Path]]) -> list[dict]:
    """Path, size and time of change of each raw file, and the split it was named for ("all": any, "beside": joined)."""
    found = []
    for split, paths in files.items():
        for path in paths:
            stat = path.stat()
            found.append(
                {"split": split, "path": str(path.resolve()), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
            )
    return found


def key(data: DataConfig, files: dict[str, list[Path]], companions: list[Path]) -> dict:
    """Everything that decides the bytes of the prepared dataset, as plain JSON values in a fixed order.

    companions: files that the reader joins to the rows of `files`.
    """
    parts = {
        "version": FORMAT_VERSION,
        "name": data.name,
        "format": dataclasses.asdict(data.format),
        "labels": [(task, _plain(label)) for task, label in data.labels.items()],
        "rows": _plain(data.rows),
        "drop_inconsistent": data.drop_inconsistent,
        "history": None if data.history is None else {**_plain(data.history), **dict.fromkeys(_LENGTHS)},
        "negatives": _plain(data.negatives),
        "weight": data.weight,
        "group": data.group,
        "time": _plain(data.time),
        "features": [(name, dataclasses.asdict(group)) for name, group in data.features.items()],
        "crosses": [(columns, data.cross_buckets) for columns in data.crosses],
        "split": _split_key(data),
        "sources": source_files({**files, "beside": companions}),
    }
    return json.loads(json.dumps(parts))  # tuples become lists, as in the manifest


def _plain(section):
    return dataclasses.asdict(section) if dataclasses.is_dataclass(section) else section


def _lengths(history: HistoryConfig) -> dict[str, int | None]:
    return {"short": history.max_length, "long": history.long_length, "hits": history.hits_length}


def _split_key(data):
    """Only what its kind of split reads."""
    split = data.split
    fractions = ("train", "valid", "test")
    moments = ("valid_from", "test_from")
    reads = {
        "order": fractions,
        "random": (*fractions, "seed"),
        "hash": (*fractions, "column"),
        "last": ("column",),
        "time": fractions if split.valid_from is None else moments,
        "files": (),
    }[split.by]
    return {"by": split.by, **{name: getattr(split, name) for name in reads}}


def digest(key: dict) -> str:
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()


def folder_name(data: DataConfig, key: dict) -> str:
    return f"{data.name}-{digest(key)[:16]}"


def build(key: dict, kind: str, sample: dict | None, rows: dict, positives: dict, prepared_bytes: int) -> dict:
    """The manifest of a dataset that has just been written."""
    return {
        "name": key["name"],
        "source": kind,
        "sources": [{k: v for k, v in source.items() if k != "split"} for source in key["sources"]],
        "rows": rows,
        "positives": positives,
        "prepared_bytes": prepared_bytes,
        "hash": digest(key),
        "versions": {
            **{name: importlib.metadata.version(name) for name in ("rectrain", "numpy", "pyarrow")},
            "python": platform.python_version(),
        },
        "sample": sample,
        "key": key,
    }
