import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rectrain.config import SplitConfig, TimeConfig
from rectrain.data import split
from rectrain.data.blocks import Block
from rectrain.errors import InputError

BASE = SplitConfig(
    by="order", train=0.8, valid=0.1, test=0.1, seed=0, column=None, valid_from=None, test_from=None, files=None
)


@dataclasses.dataclass
class Data:
    """The parts of a DataConfig that splits read."""

    split: SplitConfig
    time: TimeConfig | None = None


def config(**changes) -> SplitConfig:
    return dataclasses.replace(BASE, **changes)


def block(num_rows: int, **columns) -> Block:
    return Block(
        {k: pa.array(v) for k, v in columns.items()}, num_rows, Path("raw"), 0, lambda p, i: f"{p}, row {i + 1}"
    )


def codes(assign, num_rows: int, size: int) -> list[int]:
    """Of rows without columns, in blocks of `size`."""
    blocks = [(first, block(min(size, num_rows - first))) for first in range(0, num_rows, size)]
    return [code for first, b in blocks for code in assign("all", first, b)]


@pytest.mark.parametrize(
    ("fractions", "num_rows", "starts"),
    [
        ((0.8, 0.1, 0.1), 10, [8, 9]),
        ((0.29, 0.01, 0.7), 100, [29, 30]),  # 0.29 * 100 is 28.999999999999996 in float
        ((0.9, 0.1, 0), 110_000, [99_000, 110_000]),
        ((0.7, 0, 0.3), 11, [7, 7]),
        ((0.8, 0.2, 0), 7, [5, 7]),
        ((1, 0, 0), 5, [5, 5]),
    ],
)
def test_first_rows_are_exact_and_an_absent_split_gets_none(fractions, num_rows, starts):
    train, valid, test = fractions
    assert split.first_rows(config(train=train, valid=valid, test=test), num_rows) == starts


@pytest.mark.parametrize("size", [1, 3, 100])
def test_order_cuts_the_rows_over_all_blocks(size):
    assert codes(split.by_order(config(), 20), 20, size) == [0] * 16 + [1] * 2 + [2] * 2


def test_random_depends_on_seed_and_row_but_not_on_blocks():
    found = codes(split.by_random(config(by="random")), 20_000, 7_000)
    assert found == codes(split.by_random(config(by="random")), 20_000, 333)
    assert found != codes(split.by_random(config(by="random", seed=1)), 20_000, 7_000)
    np.testing.assert_allclose(np.bincount(found) / 20_000, [0.8, 0.1, 0.1], atol=0.01)


def test_random_never_opens_a_split_of_fraction_0():
    found = codes(split.by_random(config(by="random", train=0.7, valid=0.3 - 1e-10, test=0.0)), 5_000, 5_000)
    assert set(found) == {0, 1}


def test_hash_keeps_equal_keys_together_and_meets_the_fractions():
    keys = [f"user {i}" for i in range(5_000)] * 2
    found = split.by_hash(config(by="hash", column="user"))("all", 0, block(10_000, user=keys))
    assert found[:5_000].tolist() == found[5_000:].tolist()
    np.testing.assert_allclose(np.bincount(found) / 10_000, [0.8, 0.1, 0.1], atol=0.02)


def test_hash_without_a_key_is_refused():
    with pytest.raises(InputError, match=r"raw, row 2.*'user' is missing.*data.split.column"):
        split.by_hash(config(by="hash", column="user"))("all", 0, block(2, user=["a", None]))


def test_time_by_moments_written_as_in_the_column():
    data = Data(config(by="time", valid_from=14102900.0, test_from="14103000"), TimeConfig("hour", "%y%m%d%H"))
    hours = ["14102823", "14102900", "14102923", "14103000", "14110100"]
    assert split.by_moments(data)("all", 0, block(5, hour=hours)).tolist() == [0, 1, 1, 2, 2]
    assert split.expected(data, ["all"]) == ["train", "valid", "test"]


def test_time_by_equal_moments_has_no_valid_split():
    data = Data(config(by="time", valid_from=5.0, test_from=5.0), TimeConfig("t", None))
    assert split.by_moments(data)("all", 0, block(3, t=[4.0, 5.0, 6.0])).tolist() == [0, 2, 2]
    assert split.expected(data, ["all"]) == ["train", "test"]


def test_time_by_fractions_keeps_equal_moments_together():
    times = [3.0, 1.0, 2.0, 2.0, 2.0, 4.0, 5.0, 5.0, 0.0, 6.0]  # sorted: 0 1 2 2 2 3 4 5 5 6
    data = Data(config(by="time", train=0.5, valid=0.3, test=0.2), TimeConfig("t", None))
    values, counts = np.unique(times, return_counts=True)
    order = np.random.default_rng(0).permutation(values.size)
    table = pa.table({"value": values[order], "count": counts[order]})
    found = split.by_time(data, split.first_moments(data, table))("all", 0, block(10, t=times))
    assert found.tolist() == [1, 0, 0, 0, 0, 1, 2, 2, 0, 2]  # valid from 3, test from 5: the ties at 5 go together


@pytest.mark.parametrize("fractions", [(0.6, 0.4, 0.0), (1.0, 0.0, 0.0)])
def test_time_by_fractions_without_test_rows(fractions):
    train, valid, test = fractions
    data = Data(config(by="time", train=train, valid=valid, test=test), TimeConfig("t", None))
    table = pa.table({"value": np.arange(5.0), "count": [1] * 5})
    found = split.by_time(data, split.first_moments(data, table))("all", 0, block(5, t=np.arange(5.0)))
    assert found.tolist() == [int(i >= train * 5) for i in range(5)]


@pytest.mark.parametrize(
    ("changes", "time", "message"),
    [
        ({"by": "time"}, None, "data.split.by=time needs data.time.column"),
        (
            {"by": "time", "valid_from": "x", "test_from": "1"},
            TimeConfig("t", None),
            "data.split.valid_from=x.*a number",
        ),
        ({"by": "time", "valid_from": 3.0, "test_from": 2.0}, TimeConfig("t", None), "valid_from=3.0 is later than"),
        ({"train": 0.0, "valid": 0.5, "test": 0.5}, None, "data.split.train=0"),
    ],
)
def test_what_cannot_be_split_is_refused_before_any_file_is_read(changes, time, message):
    with pytest.raises(InputError, match=message):
        split.check(Data(config(**changes), time))


def test_expected_splits_are_those_with_a_fraction_or_with_files():
    assert split.expected(Data(config(train=0.7, valid=0.0, test=0.3)), ["all"]) == ["train", "test"]
    assert split.expected(Data(config(by="files", files={"train": "a", "test": "b"})), ["test", "train"]) == [
        "train",
        "test",
    ]
