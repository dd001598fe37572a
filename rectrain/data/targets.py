"""What a row carries besides features: labels, weight, group and time, each checked."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rectrain.config import DataConfig, LabelConfig, TimeConfig
from rectrain.data import conditions
from rectrain.data.blocks import Block
from rectrain.data.columns import numbers, texts, unexpected
from rectrain.data.vocab import hash_bucket, is_null
from rectrain.errors import InputError

if TYPE_CHECKING:
    from rectrain.data.later import LaterEvents

GROUP_RANGE = 2**62
# Month and day of what Arrow makes of a day that its month does not have; offsets from UTC move them by one.
_AFTER_SHORT_MONTHS = [228, 229, 301, 302, 303, 304, 430, 501, 502, 630, 701, 702, 930, 1001, 1002, 1130, 1201, 1202]


Later = Mapping[str, "LaterEvents"]  # of the labels with `later`


def read(block: Block, data: DataConfig, later: Later) -> dict[str, np.ndarray]:
    """labels, and weight, group and time where the dataset has them."""
    columns = {"labels": labels(block, data, later)}
    if data.weight is not None:
        columns["weight"] = weights(block, data.weight)
    if data.group is not None:
        columns["group"] = groups(block, data.group)
    if data.time is not None:
        columns["time"] = times(block, data.time)
    return columns


def labels(block: Block, data: DataConfig, later: Later) -> np.ndarray:
    """float32 (N, K), 0 or 1, or a number; column k is the k-th of data.labels."""
    columns = [_label(block, label, f"data.labels.{name}", later.get(name)) for name, label in data.labels.items()]
    return np.stack(columns, axis=1).astype(np.float32)


def consistent(labels: np.ndarray, data: DataConfig) -> np.ndarray:
    """bool (N,): False in rows that data.drop_inconsistent leaves out."""
    column = {name: labels[:, k] for k, name in enumerate(data.labels)}
    kept = np.ones(len(labels), bool)
    for given, label in data.drop_inconsistent:
        kept &= (column[label] == 0) | (column[given] != 0)
    return kept


def _label(block: Block, label: str | LabelConfig | None, key: str, later: "LaterEvents | None") -> np.ndarray:
    if later is not None:
        return later.follow(block)
    if label is None:
        return np.ones(block.num_rows)
    if isinstance(label, LabelConfig) and label.number:
        return _finite(block, label.column, key)
    if isinstance(label, LabelConfig):
        return conditions.holds(block, label, key)
    return _zero_or_one(block, label, key)


def _zero_or_one(block, column, key):
    values = numbers(block, column, key).fill_null(-1).to_numpy(zero_copy_only=False)
    instead = f"{key} to {{column: {column}, at_least: 1}}, which is 1 from 1 on"
    _refuse(block, (values != 0) & (values != 1), column, instead, "a label, 0 or 1")
    return values


def _finite(block, column, key):
    array = numbers(block, column, key)
    _refuse(block, is_null(array), column, key, "a number")
    return array.to_numpy(zero_copy_only=False)


def weights(block: Block, column: str) -> np.ndarray:
    """float32 (N,), >= 0."""
    with np.errstate(over="ignore"):
        values = numbers(block, column, "data.weight").fill_null(-1).to_numpy(zero_copy_only=False).astype(np.float32)
    _refuse(block, ~((values >= 0) & np.isfinite(values)), column, "data.weight", "a weight, 0 or more")
    return values


def groups(block: Block, column: str) -> np.ndarray:
    """int64 (N,): 1 + FarmHash Fingerprint64 % 2^62 of the text; 0 for all rows without a group."""
    return hash_bucket(texts(block, column), GROUP_RANGE)


def times(block: Block, time: TimeConfig) -> np.ndarray:
    """float64 (N,): unix seconds where the column has a format, else its numbers."""
    if time.format is None:
        array, expected = numbers(block, time.column, "data.time.column"), "a number"
    else:
        array = parse_times(texts(block, time.column), time.format)
        expected = f"a time like {time.format!r} (data.time.format)"
    _refuse(block, is_null(array), time.column, "data.time", expected)
    return array.to_numpy(zero_copy_only=False)


def parse_times(array: pa.Array, time_format: str) -> pa.Array:
    """float64 (N,), unix seconds; null where the text does not fit."""
    try:
        moments = pc.strptime(array, format=time_format, unit="s", error_is_null=True)
    except pa.ArrowException as error:
        raise InputError(f"data.time.format={time_format!r}: not a strptime format ({error}).") from None
    moments = _without_impossible_days(moments, array, time_format)
    return pc.cast(pc.cast(moments, pa.int64()), pa.float64())


def _without_impossible_days(moments: pa.Array, array: pa.Array, time_format: str) -> pa.Array:
    """Null for 30 February and the like, which Arrow takes for a day of the month after it."""
    if "%d" not in time_format:
        return moments
    days = pc.add(pc.multiply(pc.month(moments), 100), pc.day(moments))
    near = pc.fill_null(pc.is_in(days, pa.array(_AFTER_SHORT_MONTHS, days.type)), False)
    wrong = [text for text in array.filter(near).unique().to_pylist() if _is_impossible_day(text, time_format)]
    return pc.if_else(pc.is_in(array, pa.array(wrong, array.type)), pa.scalar(None, moments.type), moments)


def _is_impossible_day(text: str, time_format: str) -> bool:
    try:
        datetime.strptime(text, time_format)
    except ValueError as error:
        return "day is out of range" in str(error)
    return False


def parse_moment(written: str | float, time: TimeConfig, key: str) -> float:
    """A moment named in the config, written as in the time column."""
    text = f"{written:.0f}" if isinstance(written, float) and written.is_integer() else str(written)
    moment = _number(text) if time.format is None else parse_times(pa.array([text]), time.format)[0].as_py()
    if moment is None:
        expected = "a number" if time.format is None else f"a time like {time.format!r} (data.time.format)"
        raise InputError(f"{key}={text}: expected {expected}, as in column {time.column!r}.")
    return moment


def _number(text):
    try:
        return float(text)
    except ValueError:
        return None


def _refuse(block, bad, column, key, expected):
    if bad.any():
        raise unexpected(block, np.argmax(bad), column, key, expected)
