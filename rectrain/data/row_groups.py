"""The rows of prepared data: parquet row groups, or parts of them, as packed columns."""

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rectrain.data.shards import to_matrix
from rectrain.errors import InputError
from rectrain.schema import Schema

Rows = dict[str, np.ndarray]  # packed columns of equal length


@dataclass(frozen=True)
class RowGroup:
    """A row group of a file, or a part of it."""

    path: Path
    index: int
    num_rows: int
    start: int = 0  # its first row within the row group


@contextlib.contextmanager
def whole(path: Path) -> Iterator[None]:
    """Turns what is wrong with a file of prepared data into an InputError."""
    try:
        yield
    except (OSError, LookupError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"{path} is damaged ({' '.join(str(error).split())}). Remove the folder of this prepared data set "
            "(data.prepared_dir); the next run prepares it again."
        ) from error


def row_groups(shards: list[Path]) -> list[RowGroup]:
    """All row groups of the shards, in file order."""
    groups = []
    for path in shards:
        with whole(path):
            metadata = pq.ParquetFile(path).metadata
        groups += [RowGroup(path, i, metadata.row_group(i).num_rows) for i in range(metadata.num_row_groups)]
    return groups


def share(num_rows: int, number: int, index: int) -> range:
    """The rows of one of `number` shares, which are equal but for a row."""
    return range(index * num_rows // number, (index + 1) * num_rows // number)


def count_rows(groups: list[RowGroup]) -> int:
    return sum(group.num_rows for group in groups)


def part(groups: list[RowGroup], rows: range) -> list[RowGroup]:
    """The row groups, or parts of them, that hold some rows of all."""
    found, first = [], 0
    for group in groups:
        start, stop = max(rows.start - first, 0), min(rows.stop - first, group.num_rows)
        if start < stop:
            found.append(dataclasses.replace(group, start=group.start + start, num_rows=stop - start))
        first += group.num_rows
    return found


def read_rows(schema: Schema, group: RowGroup) -> Rows:
    """One row group as packed columns."""
    with whole(group.path):
        rows = _packed(schema, pq.ParquetFile(group.path).read_row_group(group.index))
    return slice_rows(rows, group.start, group.start + group.num_rows)


def slice_rows(rows: Rows, start: int, stop: int) -> Rows:
    return {name: column[start:stop] for name, column in rows.items()}


def no_rows(schema: Schema, groups: list[RowGroup]) -> Rows:
    """The same columns without rows."""
    return _packed(schema, pq.read_schema(groups[0].path).empty_table())


def _packed(schema: Schema, table: pa.Table) -> Rows:
    ragged = ragged_columns(schema)
    rows: Rows = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if name in ragged:
            valid, width, padding = ragged[name]
            values, lengths = column.flatten().to_numpy(zero_copy_only=False), np.diff(column.offsets.to_numpy())
            rows[name], rows[valid] = padded(values, lengths, width, padding)
        elif pa.types.is_fixed_size_binary(column.type):
            rows[name] = to_matrix(column, table.schema.field(name))
        else:
            rows[name] = column.to_numpy(zero_copy_only=False)
    rows.setdefault("weight", np.ones(table.num_rows, "float32"))
    return rows


def ragged_columns(schema: Schema) -> dict[str, tuple[str, int, int]]:
    """Name of each list column -> (name of its `valid`, width, id of padding)."""
    ragged = {f.name: (f"{f.name}_valid", f.max_length, f.offset) for f in schema.multi_valued}
    for history in schema.histories:
        if not history.from_log:
            valid = f"{history.name}_valid"
            ragged |= {f"{history.name}_{s.name}": (valid, history.max_length, s.offset) for s in history.steps}
    return ragged


def padded(values: np.ndarray, lengths: np.ndarray, width: int, padding: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids of all rows one after the other, (M,), as int32 ids and bool valid, both (N, width); lengths: int (N,)."""
    valid = np.arange(width) < lengths[:, None]
    ids = np.full(valid.shape, padding, np.int32)
    ids[valid] = values
    return ids, valid
