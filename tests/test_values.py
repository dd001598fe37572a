"""The hash table of texts against Python's Counter and dict."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from rectrain.data import counter
from rectrain.data.counter import NumberCounter
from rectrain.data.values import BLANK, UNKNOWN, ValueTable


def texts(seed, count, *, alphabet="ab\0é東", longest=40):
    """A short alphabet gives equal prefixes and texts that differ in a last NUL alone; some rows are blank or null."""
    rng = np.random.default_rng(seed)
    lengths = np.minimum(rng.geometric(0.15, count) - 1, longest)
    made = ["".join(rng.choice(list(alphabet), length)) for length in lengths]
    return [None if null else text for text, null in zip(made, rng.random(count) < 0.05, strict=True)]


def as_python(table):
    return dict(zip(table.values().to_pylist(), table.counts().tolist(), strict=True))


@pytest.mark.parametrize("longest", [1, 8, 9, 40])
def test_counts_and_numbers_are_those_of_python(longest):
    blocks = [texts(seed, size, longest=longest) for seed, size in enumerate([0, 1, 700, 3000, 5])]
    table = ValueTable()
    for block in blocks:
        table.add(pa.array(block, pa.string()))
    seen = [text for block in blocks for text in block if text]
    assert as_python(table) == Counter(seen)
    order = list(dict.fromkeys(seen))
    assert table.values().to_pylist() == order
    asked = [*blocks[3], "never seen", "a" * 41, "\0" * 7]
    expected = [BLANK if not t else order.index(t) if t in order else UNKNOWN for t in asked]
    assert table.find(pa.array(asked)).tolist() == expected


def test_many_texts_grow_the_table_several_times():
    everything = [f"{i:x}" for i in range(30_000)]
    table = ValueTable()
    table.add(pa.array(everything))
    table.add(pa.array([*everything[::3], "x" * 5000, "x" * 4999 + "y"]))
    assert table.num_values == 30_002
    assert table.find(pa.array(everything)).tolist() == list(range(30_000))
    assert table.counts()[:4].tolist() == [2, 1, 1, 2]
    assert table.values()[30_001].as_py() == "x" * 4999 + "y"


def test_slices_and_nulls_with_bytes_behind_them():
    whole = pa.array(["a", "bb", "ccc", "bb", None, "a"])
    valid = pa.py_buffer(np.packbits([1, 0, 1, 1, 0, 1], bitorder="little"))
    hidden = pa.StringArray.from_buffers(6, whole.buffers()[1], whole.buffers()[2], valid)
    table = ValueTable()
    table.add(whole[1:5])
    assert as_python(table) == {"bb": 2, "ccc": 1}
    assert table.find(hidden).tolist() == [UNKNOWN, BLANK, 1, 0, BLANK, UNKNOWN]
    assert table.find(whole[2:4]).tolist() == [1, 0]


def test_a_text_may_stand_for_several_rows():
    table = ValueTable()
    table.add(pa.array(["a", "b", "a"]), np.array([3, 1, 10]))
    assert as_python(table) == {"a": 13, "b": 1}


def test_an_empty_table_knows_nothing():
    table = ValueTable()
    table.add(pa.array([None, ""], pa.string()))
    assert table.num_values == len(table.values()) == len(table.counts()) == 0
    assert table.find(pa.array(["a", None])).tolist() == [UNKNOWN, BLANK]


def test_numbers_are_counted_however_often_they_are_merged(monkeypatch):
    monkeypatch.setattr(counter, "_MERGE_ROWS", 10)
    rng = np.random.default_rng(0)
    blocks = [rng.zipf(1.4, rng.integers(0, 30)).astype(float).tolist() for _ in range(40)]
    found = NumberCounter()
    for block in blocks:
        found.add(pa.array([*block, None], pa.float64()))
    assert dict(zip(*found.counts().to_pydict().values(), strict=True)) == Counter(v for b in blocks for v in b)
