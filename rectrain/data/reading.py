"""One raw file by its reader, with the columns that the names of its folders hold besides.

Spark and Hive write a table that is partitioned by a column as folders: visits/date=2024-01-01/part-00000.parquet. The
files lack that column, so its value is taken from the path where the config asks for it and the file does not have it.
Names and values are written as in a URL (%2F); __HIVE_DEFAULT_PARTITION__ is a missing value. They are read from the
file's real path, which is what names of prepared data sets are made of.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from rectrain import registry
from rectrain.config import FormatConfig
from rectrain.data.blocks import Block
from rectrain.data.readers.checks import numbers
from rectrain.data.readers.rows import STANDARD_INPUT
from rectrain.errors import InputError

_MISSING = "__HIVE_DEFAULT_PARTITION__"


def partitions(path: Path) -> dict[str, str | None]:
    """Column -> value of each folder of the path that is called column=value, the innermost where a column repeats."""
    if path == STANDARD_INPUT:
        return {}
    found = (part.partition("=") for part in path.resolve().parent.parts if is_partition(part))
    return {unquote(column): None if value == _MISSING else unquote(value) for column, _, value in found}


def is_partition(folder: str) -> bool:
    """Whether a folder of this name holds a part of a table."""
    return "=" in folder[1:]


def column_names(path: Path, format: FormatConfig) -> list[str]:
    """Those of the file, and then those of its folders that it does not have."""
    names = _reader(format, "column_names")(path, format)
    return [*names, *(name for name in partitions(path) if name not in names)]


def read(path: Path, columns: dict[str, str], format: FormatConfig, **settings) -> Iterator[Block]:
    """The rows of one file in blocks, as its reader reads them.

    Args:
        columns: name -> "text", "number" or "list"; a list comes as text where it is no column of lists.
        settings: of the reader: what to tell of its way, and what to do with bad rows.
    """
    read = _reader(format, "read")
    found = {name: value for name, value in partitions(path).items() if name in columns}
    in_file = _reader(format, "column_names")(path, format) if found else []
    constants = {n: _constant(path, n, value, columns[n]) for n, value in found.items() if n not in in_file}
    if not constants:
        yield from read(path, columns, format, **settings)
        return
    own = {name: kind for name, kind in columns.items() if name not in constants}
    for block in read(path, own or {in_file[0]: "list"}, format, **settings):
        beside = {name: pa.repeat(value, block.num_rows) for name, value in constants.items()}
        yield dataclasses.replace(block, columns={**block.columns, **beside})


def _constant(path: Path, name: str, value: str | None, kind: str) -> pa.Scalar:
    text = pa.array([value], pa.string())
    if kind != "number":
        return text[0]
    try:
        return numbers(text, [""])[0]
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{path}: column {name!r} holds {value!r}, from the name of a folder; expected a finite number, or "
            f"{_MISSING} where it is missing. Rename the folder, or give the column another type in data.features."
        ) from error


def _reader(format: FormatConfig, function: str):
    return registry.load("data/readers", format.reader, function)
