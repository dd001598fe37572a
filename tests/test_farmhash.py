"""Fingerprint64 of texts against TensorFlow's, which gives it modulo a number of buckets."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from rectrain.data.farmhash import fingerprints

PRIME = 1_000_003


def ascii_text(rng, size):
    """Any character of 7 bits, NUL and line ends too."""
    return bytes(rng.integers(0, 128, size, np.uint8)).decode()


def unicode_text(rng, size):
    """Of `size` bytes in UTF-8, of letters of 1 to 4 bytes."""
    text = "".join(rng.choice(list("aé東🙂ÿ"), size))
    return text.encode()[:size].decode(errors="ignore").ljust(size)


def expected(texts, buckets):
    return tf.strings.to_hash_bucket_fast(["" if text is None else text for text in texts], buckets).numpy()


@pytest.mark.parametrize("buckets", [1, 7, PRIME, 2**62, 2**63 - 1])
@pytest.mark.parametrize("draw", [ascii_text, unicode_text])
def test_every_length_has_the_hash_of_tensorflow(draw, buckets):
    rng = np.random.default_rng(buckets % PRIME)
    texts = [draw(rng, size) for size in range(301) for _ in range(4)]
    hashes = fingerprints(pa.array(texts))
    assert hashes.dtype == np.uint64
    assert hashes.max() > 2**63  # all 64 bits, not those of a bucket
    np.testing.assert_array_equal(hashes % np.uint64(buckets), expected(texts, buckets))


def test_bytes_of_a_high_bit_count_as_unsigned_at_every_place():
    texts = ["\u00ff" * (size // 2) + "~" * (size % 2) for size in range(150)]
    np.testing.assert_array_equal(fingerprints(pa.array(texts)) % np.uint64(2**62), expected(texts, 2**62))


def test_a_text_of_a_megabyte():
    texts = [ascii_text(np.random.default_rng(3), 2**20 + 13)]
    assert fingerprints(pa.array(texts))[0] % np.uint64(2**62) == expected(texts, 2**62)[0]


def test_slices_and_nulls():
    texts = ["a", None, "", "a longer text of 24 bytes", None, "東京", "b"]
    whole = pa.array(texts)
    for start in range(len(texts) + 1):
        for stop in range(start, len(texts) + 1):
            part = fingerprints(whole[start:stop])
            np.testing.assert_array_equal(part % np.uint64(PRIME), expected(texts[start:stop], PRIME))
    assert fingerprints(whole)[1] == fingerprints(pa.array([""]))[0] == 0x9AE16A3B2F90404F


def test_bytes_behind_a_null_do_not_count():
    whole = pa.array(["a", "bb", "ccc"])
    valid = pa.py_buffer(np.packbits([1, 0, 1], bitorder="little"))
    hidden = pa.StringArray.from_buffers(3, whole.buffers()[1], whole.buffers()[2], valid)
    np.testing.assert_array_equal(fingerprints(hidden), fingerprints(pa.array(["a", "", "ccc"])))


@pytest.mark.parametrize("texts", [[], [None], [None, None], [""], ["", None]])
def test_texts_without_bytes(texts):
    assert fingerprints(pa.array(texts, pa.string())).tolist() == [0x9AE16A3B2F90404F] * len(texts)


def test_hashing_does_not_load_tensorflow():
    code = (
        "import sys, pyarrow as pa\n"
        "from rectrain.data.vocab import hash_bucket\n"
        "assert 'numba' not in sys.modules\n"
        "assert hash_bucket(pa.array(['a', None]), 5).tolist()[1] == 0\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
