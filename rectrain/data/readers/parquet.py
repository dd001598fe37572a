"""Reads parquet. Nulls and blank texts are missing; `data.format` names the reader and nothing else."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from rectrain.config import FormatConfig
from rectrain.data.blocks import Block
from rectrain.data.readers.checks import (
    bad_cell,
    check_columns,
    check_file,
    finite,
    first_failure,
    no_rows,
    numbers,
)
from rectrain.errors import InputError

BLOCK_ROWS = 65_536
BLOCK_BYTES = 64 << 20  # about as much text as a block may take where a dictionary repeats it


def read(
    path: Path, columns: dict[str, str], format: FormatConfig, *, advance: Callable[[int], object] | None = None
) -> Iterator[Block]:
    """The rows of one file in blocks.

    Args:
        columns: name -> "text", "number" or "list"; a list comes as list<string> from a column of lists, else as text.
        advance: called with the file's bytes in proportion to the rows read since its last call.
    Raises:
        InputError: names the file, the row at fault and the key.
    """
    with _open(path) as file:
        check_columns(path, file.schema_arrow.names, columns)
        size, num_rows, first_row = path.stat().st_size, file.metadata.num_rows, 0
        for batch in _batches(path, file, list(columns)):
            converted = {name: _column(path, first_row, batch, name, kind) for name, kind in columns.items()}
            yield Block(converted, batch.num_rows, path, first_row, describe_row)
            last_row = first_row + batch.num_rows
            if advance is not None:
                advance(size * last_row // num_rows - size * first_row // num_rows)
            first_row = last_row


def column_names(path: Path, format: FormatConfig) -> list[str]:
    with _open(path) as file:
        names = file.schema_arrow.names
    check_columns(path, names, ())
    return names


def count_rows(path: Path, format: FormatConfig) -> int:
    """As many as `read` yields."""
    with _open(path) as file:
        return file.metadata.num_rows


def is_empty(path: Path) -> bool:
    """Whether a file holds no row, as engines write some of a table's parts; not where that cannot be told."""
    try:
        return path.stat().st_size == 0 or pa.parquet.read_metadata(path).num_rows == 0
    except (pa.ArrowException, OSError):
        return False


def describe_row(path: Path, row: int) -> str:
    """Where the row of index `row` stands; rows count from 1."""
    return f"{path}, row {row + 1}"


def _open(path: Path) -> pa.parquet.ParquetFile:
    check_file(path)
    try:
        file = pa.parquet.ParquetFile(path)
        _ = file.schema_arrow.names  # read as it is asked for
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{path}: data.format.reader=parquet expects a whole parquet file ({_one_line(error)}). "
            "Fetch or write it again if it is damaged, or set data.format.reader=csv if it is text."
        ) from error
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise _damaged(path, error) from error
    if file.metadata.num_rows == 0:
        file.close()
        raise no_rows(path, "0 rows")
    return file


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path}: the parquet file is damaged ({_one_line(error)}). "
        "Fetch or write it again, or leave it out with data.files."
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _batches(path: Path, file: pa.parquet.ParquetFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    batches = None
    while True:
        try:
            batches = batches or file.iter_batches(_block_rows(path, file, columns), columns=columns)
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from error
        if batch is None:
            return
        yield batch


def _block_rows(path: Path, file: pa.parquet.ParquetFile, columns: list[str]) -> int:
    """Fewer where dictionaries hold long texts: a file of a few bytes may say one of them a million times."""
    fewest = BLOCK_ROWS
    for group in range(file.num_row_groups):
        metadata = file.metadata.row_group(group)
        chunks = [metadata.column(i) for i in range(metadata.num_columns)]
        coded = [chunk for chunk in chunks if _may_grow(chunk) and chunk.path_in_schema.split(".")[0] in columns]
        for chunk, longest in zip(coded, _longest_texts(path, group, coded), strict=True):
            bytes_of_row = longest * -(-chunk.num_values // metadata.num_rows)
            fewest = min(fewest, BLOCK_BYTES // max(bytes_of_row, 1))
    return max(fewest, 1)


def _may_grow(chunk: pa.parquet.ColumnChunkMetaData) -> bool:
    is_long = chunk.total_uncompressed_size > BLOCK_BYTES // BLOCK_ROWS
    return chunk.physical_type == "BYTE_ARRAY" and chunk.has_dictionary_page and is_long


def _longest_texts(path: Path, group: int, chunks: list[pa.parquet.ColumnChunkMetaData]) -> list[int]:
    """Bytes of the longest text of each dictionary; reads the dictionaries and no more."""
    if not chunks:
        return []
    names = [chunk.path_in_schema for chunk in chunks]
    with pa.parquet.ParquetFile(path, read_dictionary=names) as file:
        batch = next(file.iter_batches(1, row_groups=[group], columns=names))
    dictionaries = [_dictionary(batch[name.split(".")[0]]) for name in names]
    return [pc.max(pc.binary_length(d)).as_py() or 0 for d in dictionaries]


def _dictionary(column: pa.Array) -> pa.Array:
    while not pa.types.is_dictionary(column.type):
        if pa.types.is_nested(column.type) and hasattr(column, "values"):
            column = column.values
        else:  # a type that is refused as a column
            return pa.array([], pa.binary())
    return column.dictionary


def _column(path: Path, first_row: int, batch: pa.RecordBatch, name: str, kind: str) -> pa.Array:
    """One column as a block holds it."""
    convert, expected = {
        "text": (_text, "text in UTF-8 or a finite number"),
        "number": (_number, "a finite number"),
        "list": (_list, "texts in UTF-8"),
    }[kind]
    column = batch[name]
    try:
        return convert(column)
    except pa.ArrowInvalid as error:
        row = first_failure(column, convert)
        place = describe_row(path, first_row + row)
        raise bad_cell(place, name, _plain(column[row]), f"{expected}, null where it is missing") from error
    except pa.ArrowNotImplementedError as error:
        raise InputError(
            f"{path}: column {name!r} is of type {column.type}; expected {expected}. "
            "Write it as another type, or give it another type in data.features (multi_valued for lists)."
        ) from error


def _plain(cell: pa.Scalar):
    try:
        return cell.as_py()
    except UnicodeDecodeError:  # also within a list
        return cell.cast(pa.binary()).as_py() if pa.types.is_string(cell.type) else "text"


def _text(column: pa.Array) -> pa.Array:
    text = _float_text(finite(column)) if pa.types.is_floating(column.type) else _utf8(column.cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _utf8(texts: pa.Array) -> pa.Array:
    """The same, looked through: Arrow takes the text of a file as it comes."""
    return texts.cast(pa.binary()).cast(pa.string())


def _float_text(values: pa.Array) -> pa.Array:
    """Whole numbers without a point: columns of integers with blanks are often stored as floats."""
    whole = pc.and_(pc.equal(values, pc.trunc(values)), pc.less(pc.abs(values), 2.0**63))
    digits = pc.if_else(whole, values, 0.0).cast(pa.int64()).cast(pa.string())
    return pc.if_else(whole, digits, values.cast(pa.string()))


def _number(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):  # unix seconds
        return pc.divide(column.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64()), 1e6)
    if pa.types.is_primitive(column.type) or pa.types.is_decimal(column.type):
        return finite(column.cast(pa.float64(), safe=False))  # beyond 2^53 rounded, as in text
    return numbers(column.cast(pa.string()), [""])


def _list(column: pa.Array) -> pa.Array:
    if any(is_kind(column.type) for is_kind in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)):
        lists = column.cast(pa.list_(pa.string()))
        _utf8(lists.values)
        return lists
    return _text(column)
