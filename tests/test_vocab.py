import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rectrain.data.vocab import HashBuckets, Vocabulary, hash_bucket
from rectrain.errors import InputError


def fitted(folder, *blocks, min_count=1) -> Vocabulary:
    vocabulary = Vocabulary("C1", "data.features.categories", min_count)
    for block in blocks:
        vocabulary.observe(pa.array(block, pa.string()))
    vocabulary.finish(folder)
    return vocabulary


def test_ids_fall_with_frequency_and_ties_go_by_bytes(tmp_path):
    vocabulary = fitted(tmp_path, ["b", "é", "a", None, "z"], ["z", "B", "rare", "é", "B"], min_count=1)
    table = pq.read_table(tmp_path / "vocab/C1.parquet").to_pydict()
    assert table == {"value": ["B", "z", "é", "a", "b", "rare"], "count": [2, 2, 2, 1, 1, 1]}
    text = pa.array([None, "never seen", "B", "z", "é", "rare"])
    assert vocabulary.ids(text).tolist() == [0, 1, 2, 3, 4, 7]
    assert vocabulary.ids(text).dtype == np.int32
    assert vocabulary.num_rows == 8


def test_rarer_values_are_out_of_vocabulary(tmp_path):
    vocabulary = fitted(tmp_path, ["a", "b"], ["b", "c", "b", "c"], min_count=2)
    assert vocabulary.ids(pa.array(["a", "b", "c"])).tolist() == [1, 2, 3]


def test_a_block_of_nulls_or_no_rows_has_ids_too(tmp_path):
    vocabulary = fitted(tmp_path, ["a"])
    assert vocabulary.ids(pa.array([None, None], pa.string())).tolist() == [0, 0]
    assert vocabulary.ids(pa.array([], pa.string())).tolist() == []


@pytest.mark.parametrize(
    ("values", "min_count", "message"),
    [
        ([None, None], 1, r"'C1'.*blank.*data.features.categories.columns"),
        (["a", "b"], 2, r"'C1'.*none of its 2 values.*data.features.categories.min_count"),
    ],
)
def test_an_empty_vocabulary_is_refused(tmp_path, values, min_count, message):
    with pytest.raises(InputError, match=message):
        fitted(tmp_path, values, min_count=min_count)


def test_a_column_name_cannot_leave_the_folder(tmp_path):
    vocabulary = Vocabulary("../a b", "data.features.x", 1)
    vocabulary.observe(pa.array(["v"]))
    vocabulary.finish(tmp_path)
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.parquet")] == [vocabulary.encoding["file"]]


def test_one_of_more_text_than_arrow_holds_in_a_piece_is_restored(tmp_path):
    (tmp_path / "vocab").mkdir()
    table = pa.table({"value": pa.array(["b", "ü", "a"], pa.large_string()), "count": [3, 2, 1]})
    pq.write_table(table, tmp_path / "vocab" / "C1.parquet", row_group_size=2)
    vocabulary = Vocabulary("C1", "data.features.categories", 1)
    vocabulary.restore(tmp_path)
    assert vocabulary.ids(pa.array(["a", "ü", "b", "c"])).tolist() == [4, 3, 2, 1]


def test_blank_text_is_missing(tmp_path):
    assert fitted(tmp_path, ["a", "", ""]).ids(pa.array(["", "a", None])).tolist() == [0, 2, 0]
    assert HashBuckets("C1", 10).ids(pa.array(["", None])).tolist() == [0, 0]


def test_hash_buckets_are_farmhash_fingerprint64():
    text = pa.array(["a", None, "abc", "a", "東京"])
    ids = hash_bucket(text, 2**62)
    # FarmHash's published k2 gives Fingerprint64("") = 0x9ae16a3b2f90404f; the others are hash_0_to_16 by hand
    assert hash_bucket(pa.array([""]), 2**63 - 1)[0] == 1 + 0x9AE16A3B2F90404F % (2**63 - 1)
    assert ids.tolist() == [0 if t is None else 1 + fingerprint64(t.encode()) % 2**62 for t in text.to_pylist()]
    assert HashBuckets("C1", 10).ids(text).tolist() == [
        0 if t is None else 1 + fingerprint64(t.encode()) % 10 for t in text.to_pylist()
    ]
    assert hash_bucket(pa.array([None], pa.string()), 5).tolist() == [0]
    assert hash_bucket(pa.array([], pa.string()), 5).tolist() == []


def fingerprint64(s: bytes) -> int:
    """FarmHash Fingerprint64 of 1 to 7 bytes, from farmhashna::HashLen0to16."""
    k2, mask = 0x9AE16A3B2F90404F, 2**64 - 1
    if len(s) >= 4:
        mul, a, b = k2 + 2 * len(s), int.from_bytes(s[:4], "little"), int.from_bytes(s[-4:], "little")
        u, v = len(s) + (a << 3), b
        x = (u ^ v) * mul & mask
        y = (v ^ x ^ (x >> 47)) * mul & mask
        return (y ^ (y >> 47)) * mul & mask
    y, z = s[0] + (s[len(s) >> 1] << 8), len(s) + (s[-1] << 2)
    x = (y * k2 & mask) ^ (z * 0xC3A5C85C97CB3127 & mask)
    return (x ^ (x >> 47)) * k2 & mask
