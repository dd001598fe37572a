"""Each encoding of the exported graph against its twin that prepares the data, on values made to part them."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from rectrain.config import CategoricalConfig, MultiValuedConfig, NumericConfig, SequenceConfig
from rectrain.data.blocks import Block
from rectrain.data.features import Cross, LogSquare, MultiValued, Number, Quantile, Sequence, Text
from rectrain.data.history_views import _put_gaps
from rectrain.data.transforms import number_text
from rectrain.data.vocab import SharedHash
from rectrain.export import encodings, lists
from rectrain.export.encodings import Vocabularies
from rectrain.schema import Categorical, Schema

FITTED = ["a", "b", "a", "ü", "日本", "line\nend", "tab\tand \\n", "c\r", "-1", " ", "a"]
TEXTS = [*FITTED, "", None, "new", "line", "\\", "A"]
NUMBERS = [-1e22, -123456.789, -1.0, -0.0, 0.0, 1e-7, 0.5, 1 / 3, 1.5, 2.0, 2.1, 3.0, 7.0, 8.0, 1e6, 1e15, 1e300, None]


def block(**columns) -> Block:
    arrays = {name: pa.array(values) for name, values in columns.items()}
    return Block(arrays, len(next(iter(arrays.values()))), Path("rows"), 0, lambda path, row: f"{path} {row}")


def texts(values) -> Block:
    return block(x=pa.array(values, pa.string()))


def numbers(values) -> Block:
    return block(x=pa.array(values, pa.float64()))


def as_tensor(values, *, kind=tf.string):
    blank = "" if kind == tf.string else np.nan
    return tf.constant([blank if value is None else value for value in values], kind)


def graph(tmp_path, *encodings_of_features) -> Vocabularies:
    """The table of the vocabularies in tmp_path, as a schema names them."""
    entries = tuple(Categorical(f"f{i}", 9, 0, e) for i, e in enumerate(encodings_of_features))
    (tmp_path / "scratch").mkdir()
    return Vocabularies(Schema("toy", entries, (), (), (), ("click",)), tmp_path, tmp_path / "scratch")


def fitted(feature, rows: Block, folder: Path):
    feature.observe(rows)
    feature.finish(folder)
    return json.loads(json.dumps(feature.encoding))  # as schema.json has it


@pytest.mark.parametrize("min_count", [1, 2])
def test_vocabularies_with_line_ends_and_backslashes_share_a_table(tmp_path, min_count):
    first = Text("x", "data", CategoricalConfig(["x"], min_count=min_count))
    second = Text("y", "data", CategoricalConfig(["y"]))
    others = ["b", "a", "b", "0:a", "1:b"]
    found = [
        fitted(first, block(x=pa.array(FITTED, pa.string())), tmp_path),
        fitted(second, block(y=pa.array(others, pa.string())), tmp_path),
    ]
    table, more = graph(tmp_path, *found), [*TEXTS, *others]
    ids = table.ids(found, tf.stack([as_tensor(more), as_tensor(more)]))
    np.testing.assert_array_equal(ids[0], first.ids(block(x=pa.array(more, pa.string()))))
    np.testing.assert_array_equal(ids[1], second.ids(block(y=pa.array(more, pa.string()))))
    assert table.example(found[1]) == "b"


def test_a_vocabulary_of_plain_values(tmp_path):
    feature = Text("x", "data", CategoricalConfig(["x"]))
    encoding = fitted(feature, texts(["a", "b\\n", "b\\n"]), tmp_path)
    values = ["a", "b\\n", "b\n", "", "b"]
    found = graph(tmp_path, encoding).ids([encoding], tf.constant([[values]]))
    np.testing.assert_array_equal(found, [[feature.ids(texts(values))]])


def test_hash_buckets_and_those_that_columns_share():
    features = [Text(name, "data", CategoricalConfig([name], hash_buckets=7)) for name in "xy"]
    rows = {name: pa.array(values, pa.string()) for name, values in (("x", TEXTS), ("y", TEXTS[::-1]))}
    both = tf.stack([as_tensor(TEXTS), as_tensor(TEXTS[::-1])])
    found = encodings.hash_ids([f.encoding for f in features], both)
    np.testing.assert_array_equal(found, [f.ids(block(**rows)) for f in features])
    shared = [SharedHash(name, 11) for name in "xy"]
    found = encodings.shared_hash_ids([s.encoding for s in shared], both)
    np.testing.assert_array_equal(found, [s.ids(column) for s, column in zip(shared, rows.values(), strict=True)])


def test_a_cross_is_missing_where_all_its_columns_are():
    rows = {"x": ["a", "", None, "a\x1fb", "ü"], "y": ["b", None, "c", "", "b"]}
    feature = Cross(["x", "y"], 13)
    found = encodings.cross_ids(feature.encoding, [as_tensor(column) for column in rows.values()])
    np.testing.assert_array_equal(found, feature.ids(block(**rows)))
    assert found[1] == 0


def test_log_square_as_a_vocabulary_and_as_a_shared_hash(tmp_path):
    feature = LogSquare("x", "data", NumericConfig(["x"], transform="log_square"))
    encoding = fitted(feature, numbers([0.5, 3.0, -1.0, 2.0, None, 1e6, 0.0]), tmp_path)
    looked_up = encodings.log_square_texts(as_tensor(NUMBERS, kind=tf.float64))[None]
    np.testing.assert_array_equal(
        graph(tmp_path, encoding).ids([encoding], looked_up)[0], feature.ids(numbers(NUMBERS))
    )
    feature.encoder = SharedHash("x", 1000)
    found = encodings.shared_hash_ids([feature.encoding], looked_up)[0]
    np.testing.assert_array_equal(found, feature.ids(numbers(NUMBERS)))


def test_quantile_buckets_with_values_on_their_edges(tmp_path):
    feature = Quantile("x", "data", NumericConfig(["x"], transform="quantile", buckets=4))
    seen = [1.0, 2.0, 2.0, 3.0, 5.0, 8.0, 13.0, None]
    encoding = fitted(feature, numbers(seen), tmp_path)
    values = [*seen, *encoding["edges"], -1e300, 1e300]
    found = encodings.quantile_ids(encoding, as_tensor(values, kind=tf.float64))
    np.testing.assert_array_equal(found, feature.ids(numbers(values)))


@pytest.mark.parametrize("transform", ["none", "log1p", "standardize", "minmax"])
@pytest.mark.parametrize("seen", [[-1.5, 0.25, 7.0, None], [3.0, 3.0]], ids=["several values", "one value"])
def test_numbers_that_stay_numbers(tmp_path, transform, seen):
    feature = Number("x", "data", NumericConfig(["x"], transform=transform))
    encoding = fitted(feature, numbers(seen), tmp_path)
    values = [-1e30, -2.0, 0.0, 1e-9, 3.5, 1e30, None]
    found = encodings.scaled(encoding, as_tensor(values, kind=tf.float64))
    np.testing.assert_allclose(found, feature.values(numbers(values)), rtol=2e-7)


def test_the_text_of_a_number_is_arrows():
    rng = np.random.default_rng(7)
    random = rng.normal(size=3000) * 10 ** rng.uniform(-12, 20, 3000)
    values = np.concatenate([random, np.round(random, 3), np.trunc(random), [1e-6, 1e-4, 1e10, 1e9, 0.1]]) + 0.0
    found = [text.decode() for text in encodings.number_text(tf.constant(values)).numpy()]
    assert found == number_text(values).to_pylist()
    whole = np.arange(-5.0, 5.0)
    assert [t.decode() for t in encodings.number_text(tf.constant(whole)).numpy()] == number_text(whole).to_pylist()


def test_gaps_at_the_ends_of_their_buckets():
    powers = 2.0 ** np.arange(-3, 40)
    seconds = np.concatenate([powers, powers - 1e-4, powers + 1e-4, [0.0, -1.0, -1e9, 1e300]])
    rows = np.empty((len(seconds), 1), np.int32)
    _put_gaps(seconds, np.zeros((len(seconds), 1)), np.ones((len(seconds), 1), bool), 0, rows)
    np.testing.assert_array_equal(encodings.gap_buckets(tf.constant(seconds)), rows[:, 0])


CELLS = ["a|b|c", "", "b", "|a||", None, "c|c|c|c|c", "new|a"]


def test_lists_of_a_multi_valued_feature(tmp_path):
    """Blank values are none; more than there is room for are cut."""
    feature = MultiValued("x", "data", MultiValuedConfig(["x"], max_length=3, separator="|"))
    encoding = fitted(feature, texts(CELLS), tmp_path)
    table, (values, lengths) = graph(tmp_path, encoding), feature.ids(texts(CELLS))
    for cells in (as_tensor(CELLS)[:, None], tf.strings.split(as_tensor(CELLS), "|").to_tensor("")):
        found, _ = lists.cut(cells, "|")
        places, valid = lists.first_where(found != "", 3)
        ids = table.ids([encoding], lists.taken(found, places, valid, "")[None])[0]
        np.testing.assert_array_equal(tf.reduce_sum(tf.cast(valid, tf.int32), axis=1), lengths)
        np.testing.assert_array_equal(ids.numpy()[valid.numpy()], values)


def test_lists_that_are_a_history_keep_the_newest_and_blanks_among_them(tmp_path):
    owner = Text("y", "data", CategoricalConfig(["y"]))
    config = SequenceConfig(["x"], shares=["y"], max_length=3, separator="|")
    feature = Sequence("x", "data", config, owner)
    rows = block(x=pa.array(CELLS, pa.string()), y=pa.array(["a"] * len(CELLS)))
    encoding = fitted(owner, rows, tmp_path)
    values, lengths = feature.ids(rows)
    found, length = lists.cut(as_tensor(CELLS)[:, None], "|")
    places, valid = lists.last(length, 3)
    ids = graph(tmp_path, encoding).ids([encoding], lists.taken(found, places, valid, "")[None])[0]
    np.testing.assert_array_equal(tf.reduce_sum(tf.cast(valid, tf.int32), axis=1), lengths)
    np.testing.assert_array_equal(ids.numpy()[valid.numpy()], values)


def test_no_row_has_a_history():
    places, valid = lists.last(tf.constant([0, 0]), 5)
    assert valid.shape == (2, 1)
    assert not valid.numpy().any()
    assert lists.taken(tf.zeros((2, 0), tf.int64), places, valid, 9).numpy().tolist() == [[9], [9]]
    places, valid = lists.last_where(tf.zeros((2, 0), tf.bool), 5)
    assert not valid.numpy().any()


def test_hits_are_the_newest_steps_with_a_category_of_the_row():
    rng = np.random.default_rng(3)
    of_row, of_steps = rng.integers(0, 4, (6, 2)), rng.integers(0, 4, (6, 9, 2))
    matches = lists.have_in_common(tf.constant(of_row), tf.constant(of_steps)).numpy()
    for b in range(6):
        expected = [bool((set(of_row[b]) - {0}) & set(of_steps[b, t])) for t in range(9)]
        assert matches[b].tolist() == expected
    places, valid = (x.numpy() for x in lists.last_where(tf.constant(matches), 3))
    for b in range(6):
        assert places[b][valid[b]].tolist() == np.flatnonzero(matches[b])[-3:].tolist()
