"""Raw columns: which ones a config asks for, whether the files have them, and their values out of a block."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rectrain.config import Condition, DataConfig, LabelConfig
from rectrain.data.blocks import Block
from rectrain.data.vocab import blank_as_null
from rectrain.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Want:
    """A column that some config key names. kind: "text", "number" or "list"."""

    column: str
    kind: str
    key: str


def special_columns(data: DataConfig) -> list[Want]:
    """Everything but features: labels and their items, conditions, weight, group, time, user, the key of a split."""
    wants = label_columns(data)
    wants += [condition_column(c, key) for c, key in _conditions(data) if c is not None]
    if data.weight is not None:
        wants.append(Want(data.weight, "number", "data.weight"))
    if data.group is not None:
        wants.append(Want(data.group, "text", "data.group"))
    if data.history is not None:
        wants.append(Want(data.history.user, "text", "data.history.user"))
        if later_labels(data):
            wants.append(Want(data.history.steps[0], "text", "data.history.steps"))
    wants += _time(data)
    if data.split.by in ("hash", "last"):
        assert data.split.column is not None
        wants.append(Want(data.split.column, "text", "data.split.column"))
    return wants


def label_columns(data: DataConfig) -> list[Want]:
    return [_label(label, f"data.labels.{task}") for task, label in data.labels.items() if label is not None]


def history_columns(data: DataConfig) -> list[Want]:
    """What the histories of a log need besides features."""
    assert data.history is not None
    where = [] if data.history.where is None else [condition_column(data.history.where, "data.history.where")]
    return [*where, Want(data.history.user, "text", "data.history.user"), *_time(data)]


def later_labels(data: DataConfig) -> dict[str, LabelConfig]:
    """The labels that tell what happens at a row's time or later."""
    return {name: label for name, label in data.labels.items() if isinstance(label, LabelConfig) and label.later}


def _time(data: DataConfig) -> list[Want]:
    if data.time is None:
        return []
    return [Want(data.time.column, "number" if data.time.format is None else "text", "data.time.column")]


def _label(label: str | LabelConfig, key: str) -> Want:
    if isinstance(label, str) or label.number:
        return Want(label if isinstance(label, str) else label.column, "number", key)
    return condition_column(label, key)


def _conditions(data: DataConfig):
    yield data.rows, "data.rows"
    if data.history is not None:
        yield data.history.where, "data.history.where"


def condition_column(condition: Condition, key: str) -> Want:
    """The column that a condition reads."""
    return Want(condition.column, "text" if condition.at_least is None else "number", key)


def check_header(wants: list[Want], header: list[str], path: Path):
    for want in wants:
        if want.column not in header:
            raise InputError(
                f"{want.key}: there is no column {want.column!r} in {path}.{did_you_mean(want.column, header)}"
            )


def kinds(wants: list[Want]) -> dict[str, str]:
    """One kind to read for each column; what is wanted as text and as number is read as text."""
    chosen: dict[str, Want] = {}
    for want in wants:
        other = chosen.setdefault(want.column, want)
        if want.kind != other.kind and "list" in (want.kind, other.kind):
            raise InputError(
                f"{want.key}: column {want.column!r} holds lists for {other.key} and one value for {want.key}."
                " Name different columns."
            )
        if want.kind == "text":
            chosen[want.column] = want
    return {column: want.kind for column, want in chosen.items()}


def texts(block: Block, column: str) -> pa.Array:
    """string (N,); blank text is null."""
    return blank_as_null(block.columns[column])


def numbers(block: Block, column: str, key: str) -> pa.Array:
    """float64 (N,), finite or null."""
    array = block.columns[column]
    if not pa.types.is_string(array.type):
        return array  # a reader's numbers are finite
    array = _parse_numbers(block, texts(block, column), column, key)
    bad = np.flatnonzero(~np.isfinite(array.fill_null(0).to_numpy(zero_copy_only=False)))
    if bad.size:
        raise unexpected(block, bad[0], column, key, "a finite number or a blank")
    return array


def _parse_numbers(block, array, column, key):
    try:
        return pc.cast(array, pa.float64())
    except pa.ArrowInvalid:
        bad = next(i for i, value in enumerate(array.to_pylist()) if value is not None and not _is_number(value))
        raise unexpected(block, bad, column, key, "a number or a blank") from None


def _is_number(value: str) -> bool:
    try:
        pc.cast(pa.array([value]), pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def unexpected(block: Block, index: int | np.integer, column: str, key: str, expected: str) -> InputError:
    """What to raise about one raw value."""
    value = block.columns[column][int(index)].as_py()
    shown = "missing" if value is None or value == "" else repr(value)[:80]
    return InputError(
        f"{block.place(int(index))}: column {column!r} is {shown}; expected {expected}. Mend the file, or set {key}."
    )


def select(block: Block, rows: np.ndarray) -> Block:
    """The rows at `rows`, ascending int (M,), M > 0; their places stay those in the file."""
    if rows[-1] - rows[0] + 1 == rows.size:
        columns = {name: array.slice(rows[0], rows.size) for name, array in block.columns.items()}
    else:
        columns = {name: array.take(pa.array(rows)) for name, array in block.columns.items()}
    return dataclasses.replace(
        block,
        columns=columns,
        num_rows=rows.size,
        first_row=0,
        describe_row=lambda _, index: block.place(int(rows[index])),
    )
