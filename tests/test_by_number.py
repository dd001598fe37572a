"""Batches asked for by number are those of the stream, whatever was asked for before."""

import numpy as np
import pytest

from rectrain.data.batches import Readers, Shuffle, batches
from rectrain.data.by_number import FileBatches, ShuffledBatches
from tests.samples import schema as toy_schema
from tests.test_batches import collect, write_shards

SIZES = [[7, 7, 3], [5, 6, 1, 9]]  # 38 rows
EPOCHS = 3
ORDERS = {
    "one after the other": lambda n: range(n),
    "backwards": lambda n: reversed(range(n)),
    "two workers": lambda n: [*range(0, n, 2), *range(1, n, 2)],
    "at random, and again": lambda n: np.random.default_rng(0).integers(n, size=60).tolist(),
}


def assert_same(received, expected, name):
    assert received.keys() == expected.keys()
    for key, column in expected.items():
        np.testing.assert_array_equal(received[key], column, err_msg=f"{name} {key}")
        assert received[key].dtype == column.dtype


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("window", [1, 9, 20, 1000])
@pytest.mark.parametrize(("batch_size", "num_readers"), [(4, 1), (11, 1), (100, 1), (4, 3), (11, 2)])
def test_shuffled_batches_by_number_are_those_of_the_stream(tmp_path, order, window, batch_size, num_readers):
    schema = toy_schema()
    shards, _ = write_shards(tmp_path, schema, SIZES, weight=True)
    readers = Readers(num_readers, range(num_readers))
    stream = collect(batches(schema, shards, batch_size, Shuffle(3, 0, window, EPOCHS), readers=readers))
    source = ShuffledBatches(schema, shards, batch_size, seed=3, window=window, num_readers=num_readers, views=None)
    for number in ORDERS[order](len(stream)):
        assert_same(source.batch(number), stream[number], f"batch {number}")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("batch_size", [4, 11, 100])
def test_batches_of_files_by_number_are_those_of_the_stream(tmp_path, order, batch_size):
    schema = toy_schema()
    shards, _ = write_shards(tmp_path, schema, SIZES, weight=False)
    stream = collect(batches(schema, shards, batch_size))
    source = FileBatches(schema, shards, batch_size, views=None)
    for number in ORDERS[order](len(stream)):
        assert_same(source.batch(number), stream[number], f"batch {number}")


def test_going_on_reads_each_row_group_once(tmp_path, monkeypatch):
    from rectrain.data import batches as batches_module

    schema, read = toy_schema(), []
    shards, _ = write_shards(tmp_path, schema, SIZES, weight=False)
    real = batches_module.read_rows
    monkeypatch.setattr(batches_module, "read_rows", lambda s, group: read.append(group) or real(s, group))
    source = ShuffledBatches(schema, shards, 4, seed=3, window=9, num_readers=1, views=None)
    for number in range(10):
        source.batch(number)
    assert len(read) == len(set(read)) == 7
