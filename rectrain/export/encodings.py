"""The encodings of rectrain/data as TensorFlow graphs: raw values -> ids from a feature's own 0, or numbers.

A test holds each of them to its twin, which prepares the data. What several features do alike is done for all of them
at once: a small request costs what its operations cost to start.

Letters: B batch, F features.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tensorflow as tf

from rectrain.schema import NUM_GAPS, Schema

_CROSS_SEPARATOR = "\x1f"
_MOST_DIGITS = 17  # of a float64
_MOST_DOUBLINGS = NUM_GAPS - 4
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}  # the backslash first


class Vocabularies(tf.Module):
    """One hash table for the texts of all vocabularies, filled from a file that becomes an asset of the SavedModel.

    A line of the file is `<number of the vocabulary>:<text>`; its place tells the id.

    Args:
        folder: where the vocabularies are.  scratch: a folder that stays until the model is saved.
    """

    def __init__(self, schema: Schema, folder: Path, scratch: Path):
        super().__init__()
        self._files = list(dict.fromkeys(e.encoding["file"] for e in schema.tables if "file" in e.encoding))
        self._folder = folder
        counts = [pq.read_metadata(folder / file).num_rows for file in self._files]
        self._starts = np.cumsum([0, *counts])
        self._escapes = any(_has_line_ends(part) for file in self._files for part in self._parts(file))
        path = scratch / "vocabularies.txt"
        with path.open("w", encoding="utf-8", newline="\n") as lines:
            for number, file in enumerate(self._files):
                for part in self._parts(file):
                    lines.writelines(f"{number}:{text}\n" for text in self._escaped_values(part))
        place = tf.lookup.TextFileInitializer(
            str(path), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        )
        self._table = tf.lookup.StaticHashTable(place, -1) if self._files else None

    def ids(self, encodings: list[dict], texts):
        """int64: 0 blank, 1 unknown.

        Args:
            encodings: of F features.  texts: string (F, ...).
        """
        assert self._table is not None
        numbers = [self._files.index(encoding["file"]) for encoding in encodings]
        shape = (len(numbers), *[1] * (len(texts.shape) - 1))
        prefixes = tf.constant(np.reshape([f"{number}:" for number in numbers], shape))
        places = self._table.lookup(prefixes + (_escaped(texts) if self._escapes else texts))
        known = places + np.reshape(2 - self._starts[numbers], shape)
        return tf.where(texts == "", _int64(0), tf.where(places < 0, _int64(1), known))

    def example(self, encoding: dict) -> str:
        """The most frequent value."""
        return next(self._parts(encoding["file"]))[0].as_py()

    def _parts(self, file: str) -> Iterator[pa.Array]:
        with pq.ParquetFile(self._folder / file) as parquet:
            for batch in parquet.iter_batches(columns=["value"]):
                yield batch["value"]

    def _escaped_values(self, values: pa.Array) -> list[str]:
        if self._escapes:
            for character, instead in _ESCAPES.items():
                values = pc.replace_substring(values, character, instead)
        return values.to_pylist()


def _has_line_ends(values: pa.Array) -> bool:
    return pc.any(pc.match_substring_regex(values, "[\n\r]")).as_py()


def _escaped(texts):
    for character, instead in _ESCAPES.items():
        texts = tf.strings.regex_replace(texts, character.replace("\\", "\\\\"), instead.replace("\\", "\\\\"))
    return texts


def hash_ids(encodings: list[dict], texts):
    """1 + Fingerprint64(text) % buckets, 0 blank: int64 of string (F, ...). encodings: of one number of buckets."""
    return tf.where(texts == "", _int64(0), 1 + _hash(texts, encodings[0]["buckets"]))


def shared_hash_ids(encodings: list[dict], texts):
    """(Fingerprint64(text) + that of the column's name) % buckets; a blank is a value: int64 of string (F, ...)."""
    buckets = encodings[0]["buckets"]
    shifts = np.reshape([encoding["shift"] for encoding in encodings], (len(encodings), *[1] * (len(texts.shape) - 1)))
    return (_hash(texts, buckets) + shifts) % buckets


def cross_ids(encoding: dict, columns: list):
    """1 + Fingerprint64 of the joined texts of several columns % buckets; 0 where all are blank: int64 (B,)."""
    joined = tf.strings.join(columns, _CROSS_SEPARATOR)
    missing = tf.reduce_all(tf.stack(columns) == "", axis=0)
    return tf.where(missing, _int64(0), 1 + _hash(joined, encoding["buckets"]))


def quantile_ids(encoding: dict, x):
    """1 + the number of edges <= x; 0 where float64 x is NaN."""
    edges = np.asarray(encoding["edges"], np.float64)
    buckets = 1 + tf.searchsorted(edges, tf.reshape(x, [-1]), side="right", out_type=tf.int64)
    return tf.where(_is_missing(x), _int64(0), tf.reshape(buckets, tf.shape(x)))


def log_square_texts(x):
    """The text of log_square(x), as transforms.log_square; blank where float64 x is NaN. string of x's shape."""
    missing = _is_missing(x)
    present = tf.where(missing, tf.zeros_like(x), x)
    squared = tf.floor(tf.math.log(tf.maximum(present, 2)) ** 2)
    # + 0: -0 has a text of its own
    return tf.where(missing, "", number_text(tf.where(present > 2, squared, present) + 0.0))


def scaled(encoding: dict, x):
    """The transform of a number that stays one: float32, 0 where float64 x is NaN."""
    match encoding["type"]:
        case "none":
            y = x
        case "log1p":
            y = tf.sign(x) * tf.math.log1p(tf.abs(x))
        case "standardize":
            y = (x - encoding["mean"]) / encoding["sd"] if encoding["sd"] > 0 else tf.zeros_like(x)
        case "minmax":
            low, high = encoding["min"], encoding["max"]
            y = (x - low) / (high - low) if high > low else tf.zeros_like(x)
        case _:
            raise AssertionError(encoding)
    return tf.where(_is_missing(x), tf.constant(0, tf.float32), tf.cast(y, tf.float32))


def gap_buckets(seconds):
    """Buckets of the time from a step to the row, float64 of any shape: schema.NUM_GAPS. int64."""
    exponent = tf.bitwise.right_shift(tf.bitcast(seconds, tf.int64), _int64(52)) - 1023
    later = 3 + tf.clip_by_value(exponent, _int64(0), _int64(_MOST_DOUBLINGS))
    return tf.where(seconds > 0, later, tf.where(seconds < 0, _int64(1), _int64(2)))


def number_text(x):
    """The shortest text that reads back as the same float64, as transforms.number_text writes it; string of x's shape.

    That has no exponent from 1e-6 up to 1e10.
    """
    whole = (x == tf.floor(x)) & (tf.abs(x) < 1e10)
    whole_text = tf.strings.as_string(tf.cast(tf.where(whole, x, tf.zeros_like(x)), tf.int64))
    return tf.cond(tf.reduce_all(whole), lambda: whole_text, lambda: tf.where(whole, whole_text, _fraction_text(x)))


def _fraction_text(x):
    digits = range(_MOST_DIGITS, 0, -1)
    text = _shortest(x, [tf.strings.as_string(x, precision=n, shortest=True) for n in digits])
    text = tf.strings.regex_replace(text, "e-0", "e-")
    decimals = range(_MOST_DIGITS + 6, 4, -1)  # C's %g turns to exponents below 1e-4
    small = _shortest(x, [tf.strings.as_string(x, precision=n) for n in decimals])
    text = tf.where((tf.abs(x) >= 1e-6) & (tf.abs(x) < 1e-4), small, text)
    large = _shortest(x, [tf.strings.as_string(x, precision=n - 1, scientific=True) for n in digits])
    return tf.where(tf.abs(x) >= 1e10, large, text)


def _shortest(x, texts: list):
    """The last of them that reads back as x, else the first."""
    found = texts[0]
    for text in texts[1:]:
        found = tf.where(tf.strings.to_number(text, tf.float64) == x, text, found)
    return found


def _is_missing(x):
    return tf.math.is_nan(x)


def _hash(texts, buckets: int):
    return tf.strings.to_hash_bucket_fast(texts, buckets)


def _int64(value: int):
    return tf.constant(value, tf.int64)
