"""Prepared parquet to packed batches: every row once, in an order that seed and epoch decide."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from rectrain.data import batches as batches_module
from rectrain.data.batches import Readers, Shuffle, batches
from rectrain.data.shards import to_table
from tests.samples import batch as packed_batch
from tests.samples import schema as toy_schema


def write_shards(folder, schema, sizes, *, weight):
    """Shards of the given row-group sizes; `numeric` starts with the row's number, to follow it."""
    paths, rows = [], {}
    for number, groups in enumerate(sizes):
        part = packed_batch(schema, sum(groups), seed=number)
        part["numeric"][:, 0] = np.arange(sum(groups)) + 1000 * number
        part["labels"] = (part["numeric"] > 0).astype("float32")[:, :1]
        if weight:
            part["weight"] = part["numeric"][:, 1] ** 2
        paths.append(folder / f"train-{number:05d}.parquet")
        with pq.ParquetWriter(paths[-1], table(part, schema).schema) as writer:
            for start, size in zip(np.cumsum([0, *groups]), groups, strict=False):
                writer.write_table(table(part, schema).slice(start, size), row_group_size=size)
        rows = {k: np.concatenate([rows[k], v]) if rows else v for k, v in part.items()}
    return paths, rows


def table(part, schema):
    columns = {name: values for name, values in part.items() if not name.endswith("_valid")}
    for feature in schema.multi_valued:
        valid = part[f"{feature.name}_valid"]
        columns[feature.name] = (part[feature.name][valid], valid.sum(axis=1))
    return to_table(columns)


def collect(dataset):
    return [{k: v.numpy() for k, v in b.items()} for b in dataset]


def joined(found):
    return {k: np.concatenate([b[k] for b in found]) for k in found[0]}


@pytest.mark.parametrize("weight", [False, True])
def test_in_order_batches_are_the_rows_as_written(tmp_path, weight):
    schema = toy_schema()
    shards, rows = write_shards(tmp_path, schema, [[7, 7, 3], [5]], weight=weight)
    found = collect(batches(schema, shards, batch_size=4))
    assert [len(b["labels"]) for b in found] == [4, 4, 4, 4, 4, 2]
    expected = rows if weight else rows | {"weight": np.ones(22, "float32")}
    assert set(joined(found)) == set(expected)
    for name, column in expected.items():
        np.testing.assert_array_equal(joined(found)[name], column, err_msg=name)
        assert joined(found)[name].dtype == column.dtype


@pytest.mark.parametrize("window", [1, 9, 1000])
def test_shuffled_batches_hold_every_row_once_and_whole(tmp_path, window):
    schema = toy_schema()
    shards, rows = write_shards(tmp_path, schema, [[7, 7, 3], [5, 6]], weight=True)
    found = collect(batches(schema, shards, 4, Shuffle(seed=1, epoch=0, window=window)))
    assert [len(b["labels"]) for b in found] == [4] * 7
    everything = joined(found)
    order = np.argsort(everything["numeric"][:, 0])
    assert not (np.diff(order) == 1).all()
    back = np.argsort(rows["numeric"][:, 0])
    for name, column in rows.items():
        np.testing.assert_array_equal(everything[name][order], column[back], err_msg=name)


def test_order_is_a_function_of_seed_and_epoch(tmp_path):
    schema = toy_schema()
    shards, _ = write_shards(tmp_path, schema, [[40, 40]], weight=False)

    def order(seed, epoch):
        return joined(collect(batches(schema, shards, 8, Shuffle(seed, epoch, 1000))))["numeric"][:, 0]

    np.testing.assert_array_equal(order(1, 2), order(1, 2))
    assert (order(1, 2) != order(1, 3)).any()
    assert (order(1, 2) != order(2, 2)).any()


@pytest.mark.parametrize("window", [9, 1000])
def test_epochs_follow_each_other_in_one_stream_each_in_its_own_order(tmp_path, window):
    schema = toy_schema()
    shards, _ = write_shards(tmp_path, schema, [[7, 7, 3], [5]], weight=False)
    stream = collect(batches(schema, shards, 4, Shuffle(1, 3, window, num_epochs=2)))
    alone = [b for epoch in (3, 4) for b in collect(batches(schema, shards, 4, Shuffle(1, epoch, window)))]
    assert [len(b["labels"]) for b in stream] == [4, 4, 4, 4, 4, 2] * 2
    for a, b in zip(stream, alone, strict=True):
        np.testing.assert_array_equal(a["numeric"], b["numeric"])


@pytest.mark.parametrize("skip", [0, 1, 3, 6])
def test_skip_goes_on_at_the_exact_batch(tmp_path, skip):
    schema = toy_schema()
    shards, _ = write_shards(tmp_path, schema, [[7, 7, 3], [5]], weight=False)
    shuffle = Shuffle(seed=1, epoch=4, window=9)
    whole = collect(batches(schema, shards, 4, shuffle))
    rest = collect(batches(schema, shards, 4, shuffle, skip=skip))
    assert len(rest) == len(whole) - skip
    for a, b in zip(rest, whole[skip:], strict=True):
        np.testing.assert_array_equal(a["numeric"], b["numeric"])


@pytest.mark.parametrize("skip", [1, 6, 8, 13])
def test_skip_goes_on_in_a_stream_of_epochs(tmp_path, skip):
    schema = toy_schema()
    shards, _ = write_shards(tmp_path, schema, [[7, 7, 3], [5]], weight=False)
    shuffle = Shuffle(1, 3, 9, num_epochs=3)
    whole = collect(batches(schema, shards, 4, shuffle))
    rest = collect(batches(schema, shards, 4, shuffle, skip=skip))
    assert len(rest) == len(whole) - skip
    for a, b in zip(rest, whole[skip:], strict=True):
        np.testing.assert_array_equal(a["numeric"], b["numeric"])


@pytest.mark.parametrize("prefetched", [1, 2, 100])
def test_how_far_batches_are_read_ahead_decides_no_row(tmp_path, monkeypatch, prefetched):
    schema = toy_schema()
    shards, _ = write_shards(tmp_path, schema, [[7, 7, 3], [5]], weight=False)
    expected = joined(collect(batches(schema, shards, 4, Shuffle(1, 0, 9))))
    monkeypatch.setattr(batches_module, "_PREFETCHED_BATCHES", prefetched)
    found = joined(collect(batches(schema, shards, 4, Shuffle(1, 0, 9))))
    for name, column in expected.items():
        np.testing.assert_array_equal(found[name], column, err_msg=name)


def test_schemas_without_numbers_or_lists_have_no_such_tensors(tmp_path):
    schema = toy_schema(numeric=1, multi_valued=False, crosses=False)
    shards, _ = write_shards(tmp_path, toy_schema(multi_valued=False, crosses=False), [[3]], weight=False)
    assert set(collect(batches(schema, shards, 2))[0]) == {"categorical", "numeric", "labels", "weight"}


@pytest.mark.parametrize("rows", [[[7, 7, 3], [5]], [[8, 8]], [[2], [1]], [[13]]])
@pytest.mark.parametrize("number", [2, 3])
def test_readers_share_each_batch_and_read_every_row_once(tmp_path, rows, number):
    schema = toy_schema()
    shards, written = write_shards(tmp_path, schema, rows, weight=True)
    shuffle, num_rows = Shuffle(1, 3, 9, num_epochs=2), len(written["labels"])
    together = collect(batches(schema, shards, 4, shuffle, readers=Readers(number, range(number))))
    sizes = [4] * (num_rows // 4) + [num_rows % 4] * (num_rows % 4 > 0)
    assert [len(b["labels"]) for b in together] == sizes * 2
    for epoch in (together[: len(sizes)], together[len(sizes) :]):
        values = joined(epoch)["numeric"][:, 0]
        np.testing.assert_array_equal(np.sort(values), np.sort(written["numeric"][:, 0]))
    alone = [
        collect(batches(schema, shards, 4, shuffle, readers=Readers(number, range(k, k + 1)))) for k in range(number)
    ]
    for batch, *shares in zip(together, *alone, strict=True):
        np.testing.assert_array_equal(batch["categorical"], np.concatenate([s["categorical"] for s in shares]))
        assert max(len(s["labels"]) for s in shares) - min(len(s["labels"]) for s in shares) <= 1


@pytest.mark.parametrize("skip", [1, 4, 6, 7])
def test_readers_go_on_at_any_batch(tmp_path, skip):
    schema = toy_schema()
    shards, _ = write_shards(tmp_path, schema, [[7, 7, 3]], weight=False)
    shuffle, readers = Shuffle(1, 0, 9, num_epochs=2), Readers(3, range(1, 3))
    whole = collect(batches(schema, shards, 4, shuffle, readers=readers))
    rest = collect(batches(schema, shards, 4, shuffle, skip=skip, readers=readers))
    assert len(whole) == 10
    assert len(rest) == 10 - skip
    for expected, found in zip(whole[skip:], rest, strict=True):
        np.testing.assert_array_equal(expected["numeric"], found["numeric"])


@pytest.mark.parametrize("number", [2, 5, 9])
def test_in_order_readers_have_parts_that_follow_each_other(tmp_path, number):
    schema = toy_schema()
    shards, rows = write_shards(tmp_path, schema, [[3, 2], [1]], weight=False)
    parts = [collect(batches(schema, shards, 2, readers=Readers(number, range(k, k + 1)))) for k in range(number)]
    assert all(parts)  # a part without rows is a batch without rows
    np.testing.assert_array_equal(joined([b for part in parts for b in part])["numeric"], rows["numeric"])
