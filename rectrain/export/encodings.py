"""The encodings of rectrain/data as TensorFlow graphs: raw values of a feature -> ids from its own 0, or numbers.

One class a kind of encoding; each says which raw values it takes and holds what the graph needs. A test holds each of
them to its twin, which prepares the data.

Letters: V values of a vocabulary.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow.parquet as pq
import tensorflow as tf

from rectrain.schema import NUM_GAPS

_MISSING, _UNKNOWN = 0, 1
_CROSS_SEPARATOR = "\x1f"
_MOST_DIGITS = 17  # of a float64
_MOST_DOUBLINGS = NUM_GAPS - 4


@dataclass(frozen=True)
class Vocabularies:
    """The vocabularies of a run, and a folder where they may lie as text until the model is saved."""

    folder: Path
    scratch: Path

    def values(self, encoding: dict) -> list[str]:
        return pq.read_table(self.folder / encoding["file"], columns=["value"])["value"].to_pylist()

    def as_text(self, encoding: dict, lines: Iterable[str]) -> Path:
        file = self.scratch / f"{quote(encoding['column'], safe='')}.txt"
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
        return file


def text_ids(encoding: dict, vocabularies: Vocabularies) -> "Vocabulary | Hash | SharedHash":
    """Ids of texts, of any shape. encoding: of the schema."""
    match _kind(encoding):
        case "vocabulary":
            return Vocabulary(encoding, vocabularies)
        case "hash":
            return Hash(encoding)
        case "shared_hash":
            return SharedHash(encoding)
    raise AssertionError(encoding)


def number_ids(encoding: dict, vocabularies: Vocabularies) -> "NumberVocabulary | NumberHash | Quantile":
    """Ids of float64 numbers of any shape, NaN where missing."""
    if encoding["type"] == "quantile":
        return Quantile(encoding)
    return NumberHash(encoding) if "shift" in encoding else NumberVocabulary(encoding, vocabularies)


def _kind(encoding: dict) -> str:
    if "file" in encoding:
        return "vocabulary"
    return "shared_hash" if "shift" in encoding else "hash"


class Vocabulary(tf.Module):
    """A hash table of texts, filled from a text file that becomes an asset of the SavedModel."""

    def __init__(self, encoding: dict, vocabularies: Vocabularies):
        super().__init__()
        values = vocabularies.values(encoding)
        self.example = values[0]  # the most frequent one
        # A line a value, and line ends within a value as two characters, where there are any.
        self._escapes = any("\n" in value or "\r" in value for value in values)
        file = vocabularies.as_text(encoding, map(_escaped, values) if self._escapes else values)
        whole_line, line_number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        initializer = tf.lookup.TextFileInitializer(str(file), tf.string, whole_line, tf.int64, line_number)
        self._table = tf.lookup.StaticHashTable(initializer, default_value=_UNKNOWN - 2)

    def __call__(self, texts):
        keys = texts
        if self._escapes:
            for character, instead in _ESCAPES.items():
                keys = tf.strings.regex_replace(keys, _PATTERNS[character], instead.replace("\\", "\\\\"))
        return tf.where(texts == "", tf.constant(_MISSING, tf.int64), 2 + self._table.lookup(keys))


_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}  # the backslash first
_PATTERNS = {"\\": "\\\\", "\n": "\n", "\r": "\r"}


def _escaped(value: str) -> str:
    for character, instead in _ESCAPES.items():
        value = value.replace(character, instead)
    return value


class Hash(tf.Module):
    """1 + Fingerprint64(text) % buckets."""

    def __init__(self, encoding: dict):
        super().__init__()
        self._buckets = encoding["buckets"]

    def __call__(self, texts):
        return tf.where(texts == "", tf.constant(_MISSING, tf.int64), 1 + _hash(texts, self._buckets))


class SharedHash(tf.Module):
    """(Fingerprint64(text) + that of the column's name) % buckets; a missing value is a value."""

    def __init__(self, encoding: dict):
        super().__init__()
        self._buckets, self._shift = encoding["buckets"], encoding["shift"]

    def __call__(self, texts):
        return (_hash(texts, self._buckets) + self._shift) % self._buckets


class Cross(tf.Module):
    """1 + Fingerprint64 of the joined texts of several columns % buckets; 0 where all are missing."""

    def __init__(self, encoding: dict):
        super().__init__()
        self._buckets = encoding["buckets"]

    def __call__(self, columns: list):
        joined = tf.strings.join(columns, _CROSS_SEPARATOR)
        missing = tf.reduce_all(tf.stack(columns) == "", axis=0)
        return tf.where(missing, tf.constant(_MISSING, tf.int64), 1 + _hash(joined, self._buckets))


class NumberVocabulary(tf.Module):
    """log_square(x) among the numbers of a vocabulary."""

    def __init__(self, encoding: dict, vocabularies: Vocabularies):
        super().__init__()
        numbers_V = np.array([float(value) for value in vocabularies.values(encoding)])
        order = np.argsort(numbers_V)
        self._numbers = tf.Variable(numbers_V[order], trainable=False)
        self._ids = tf.Variable(order + 2, trainable=False, dtype=tf.int64)

    def __call__(self, x):
        squared = tf.reshape(_log_square(x), [-1])
        place = tf.minimum(tf.searchsorted(self._numbers, squared), self._numbers.shape[0] - 1)
        known = tf.gather(self._numbers, place) == squared
        ids = tf.where(known, tf.gather(self._ids, place), tf.constant(_UNKNOWN, tf.int64))
        return tf.where(_is_missing(x), tf.constant(_MISSING, tf.int64), tf.reshape(ids, tf.shape(x)))


class NumberHash(tf.Module):
    """The text of log_square(x), hashed into buckets that columns share."""

    def __init__(self, encoding: dict):
        super().__init__()
        self._hash = SharedHash(encoding)

    def __call__(self, x):
        return self._hash(tf.where(_is_missing(x), "", number_text(_log_square(x))))


class Quantile(tf.Module):
    """1 + the number of edges <= x."""

    def __init__(self, encoding: dict):
        super().__init__()
        self._edges = np.asarray(encoding["edges"], np.float64)

    def __call__(self, x):
        bucket = 1 + tf.searchsorted(self._edges, tf.reshape(x, [-1]), side="right", out_type=tf.int64)
        return tf.where(_is_missing(x), tf.constant(_MISSING, tf.int64), tf.reshape(bucket, tf.shape(x)))


def scaled(encoding: dict, x):
    """The transform of a number that stays one: float32, 0 where float64 x is missing."""
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
    exponent = tf.bitwise.right_shift(tf.bitcast(seconds, tf.int64), tf.constant(52, tf.int64)) - 1023
    later = 3 + tf.clip_by_value(exponent, tf.constant(0, tf.int64), tf.constant(_MOST_DOUBLINGS, tf.int64))
    zero_or_before = tf.where(seconds < 0, tf.constant(1, tf.int64), tf.constant(2, tf.int64))
    return tf.where(seconds > 0, later, zero_or_before)


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


def _log_square(x):
    """As transforms.log_square; never -0, which has a text of its own."""
    present = tf.where(_is_missing(x), tf.zeros_like(x), x)
    squared = tf.floor(tf.math.log(tf.maximum(present, 2)) ** 2)
    return tf.where(present > 2, squared, present) + 0.0


def _is_missing(x):
    return tf.math.is_nan(x)


def _hash(texts, buckets: int):
    return tf.strings.to_hash_bucket_fast(texts, buckets)
