"""Reads Ali-CCP: a skeleton of impressions, each joined by a key to its common features in the file beside it.

sample_skeleton_<split>.csv holds sample,click,conversion,key,number of features,feature list; what is read beside it is
common_features_<split>.csv, key,number of features,feature list (ali_ccp_common.py, in bounded memory). A feature list
is written as in ali_ccp_lists.py. The columns:

    click, conversion   0 or 1
    101 ... 853         ids of the features of that field, text: as a list all of them, else the first

Of the fields 109_14, 110_14, 127_14 and 150_14, the user's histories, features carry weights: the ids are read, the
weights (1.0 elsewhere) are not. Other fields, the numbers of features and the sample's number are passed over.
`data.format` names the reader and nothing else.

Source: Ma et al. 2018, "Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion
Rate", arXiv:1804.07931.

Letters: N rows, D distinct keys of them.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from rectrain.config import FormatConfig
from rectrain.data.blocks import Block
from rectrain.data.readers import ali_ccp_common, ali_ccp_lists, csv
from rectrain.data.readers.ali_ccp_common import CommonFeatures
from rectrain.data.readers.ali_ccp_lists import MalformedFeatureError
from rectrain.data.readers.checks import check_columns
from rectrain.data.readers.side_tables import as_kind, beside
from rectrain.errors import InputError

LABELS = ["click", "conversion"]
COMMON_FIELDS = ["101", "121", "122", "124", "125", "126", "127", "128", "129", "109_14", "110_14", "127_14", "150_14"]
SKELETON_FIELDS = ["205", "206", "207", "210", "216", "508", "509", "702", "853", "301"]
COLUMNS = [*LABELS, *COMMON_FIELDS, *SKELETON_FIELDS]

BLOCK_ROWS = 8_192  # with histories of hundreds of values a row takes kilobytes
_CELLS = ["sample", *LABELS, "key", "num_features", "features"]
_SKELETON = FormatConfig(reader="csv", quote=None, header=False, columns=_CELLS)


def read(
    path: Path, columns: dict[str, str], format: FormatConfig, *, advance: Callable[[int], object] | None = None
) -> Iterator[Block]:
    """The impressions of one skeleton in blocks.

    Args:
        columns: name -> "text", "number" or "list"; of a field a list comes as list<string>.
        advance: called with the number of raw (compressed) bytes of the skeleton consumed since its last call.
    Raises:
        InputError: names the file, the line at fault and what to do.
    """
    check_columns(path, COLUMNS, columns)
    with contextlib.ExitStack() as stack:
        reads_common = not columns.keys().isdisjoint(COMMON_FIELDS)
        common = stack.enter_context(ali_ccp_common.opened(_common_file(path))) if reads_common else None
        for block in _impressions(path, columns, advance):
            found = block.columns | _skeleton_fields(block, columns)
            if common is not None:
                found |= _common_fields(block, columns, common)
            typed = {name: _typed(name, found[name], kind, block) for name, kind in columns.items()}
            yield dataclasses.replace(block, columns=typed)


def column_names(path: Path, format: FormatConfig) -> list[str]:
    return COLUMNS


def count_rows(path: Path, format: FormatConfig) -> int:
    """As many as `read` yields, or would if all rows were right."""
    return csv.count_rows(path, _SKELETON)


def companions(path: Path) -> list[Path]:
    """The file of common features.

    Raises:
        InputError: it is missing.
    """
    return [_common_file(path)]


def _common_file(path: Path) -> Path:
    if "sample_skeleton" not in path.name:
        raise InputError(
            f"{path}: expected a skeleton of Ali-CCP, sample_skeleton_train.csv or the like, whose name leads to the "
            "file of common features beside it, common_features_train.csv. Rename both, or set data.format.reader."
        )
    name = path.name.removesuffix(".gz").replace("sample_skeleton", "common_features")
    found = beside(path, name)
    if found is None:
        raise InputError(
            f"{path}: there is no {name} beside it ({path.parent}). Expected the common features of these impressions; "
            "put the file there."
        )
    if found.name != name:
        raise InputError(f"{found}: gzipped. Expected {name}, whose lines are read by their place; unpack it.")
    return found


def _impressions(path: Path, columns: dict[str, str], advance) -> Iterator[Block]:
    """The labels that are asked for, key and feature list, in blocks of at most BLOCK_ROWS."""
    wanted = {name: kind for name, kind in columns.items() if name in LABELS} | {"key": "text", "features": "text"}
    try:
        for block in csv.read(path, wanted, _SKELETON, advance=advance):
            for start in range(0, block.num_rows, BLOCK_ROWS):
                yield _part(block, start)
    except InputError as error:
        taken = f"The reader ali_ccp expects {','.join(_CELLS)}, and reads no other key of data.format."
        raise InputError(f"{error} {taken}") from error


def _part(block: Block, start: int) -> Block:
    columns = {name: values.slice(start, BLOCK_ROWS) for name, values in block.columns.items()}
    num_rows = min(BLOCK_ROWS, block.num_rows - start)
    return dataclasses.replace(block, columns=columns, num_rows=num_rows, first_row=block.first_row + start)


def _skeleton_fields(block: Block, columns: dict[str, str]) -> dict[str, pa.Array]:
    kinds = {name: kind for name, kind in columns.items() if name in SKELETON_FIELDS}
    return _fields(block.columns["features"], kinds, block.place) if kinds else {}


def _common_fields(block: Block, columns: dict[str, str], common: CommonFeatures) -> dict[str, pa.Array]:
    kinds = {name: kind for name, kind in columns.items() if name in COMMON_FIELDS}
    coded = block.columns["key"].fill_null("").dictionary_encode()
    keys = coded.dictionary.to_pylist()
    lists = [common.find(key) for key in keys]
    if None in lists:
        index = lists.index(None)
        row = pc.index(coded.indices, index).as_py()
        raise InputError(
            f"{block.place(row)}: common feature index {keys[index]!r} has no line in {common.path}. Expected one; "
            "fetch that file again, or drop the row."
        )
    found = _fields(pa.array(lists, pa.string()), kinds, lambda index: common.place(keys[index]))
    return {name: values.take(coded.indices) for name, values in found.items()}


def _fields(lists: pa.Array, kinds: dict[str, str], place: Callable[[int], str]) -> dict[str, pa.Array]:
    try:
        return ali_ccp_lists.columns(lists, kinds)
    except MalformedFeatureError as error:
        raise InputError(
            f"{place(error.row)}: feature {error.feature!r:.80}; expected field \\x02 id \\x03 value, features joined "
            "by \\x01. Mend the line, or fetch the file again."
        ) from error


def _typed(name: str, values: pa.Array, kind: str, block: Block) -> pa.Array:
    return as_kind(name, values, kind, block.place) if kind == "number" else values
