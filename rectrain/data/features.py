"""The kinds of features: each is fitted on blocks of the training split, then encodes any block.

Each class has: `name`, `want` (the raw column), `observe(block)` (training rows), `finish(folder)` (ends the fit and
writes the vocabulary into the prepared folder), `restore(encoding, folder)` (instead of these two, what an earlier fit
found), `encoding` (all that an exported graph needs), `fit` (what is fitted: `begin_file`, `state` and `absorb`, as in
statistics.py) and the values of a block. Ids count from the feature's own 0.

Letters: N rows of a block, M values of a multi-valued column in all rows together.
"""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rectrain.config import CategoricalConfig, MultiValuedConfig, NumericConfig, SequenceConfig
from rectrain.data import statistics, transforms
from rectrain.data.blocks import Block
from rectrain.data.columns import Want, numbers, texts, unexpected
from rectrain.data.vocab import HashBuckets, TextEncoder, Vocabulary, blank_as_null, hash_bucket, is_null, spread
from rectrain.errors import InputError

_CROSS_SEPARATOR = "\x1f"
_ONE_BLANK = pa.array([""])


class _OfTexts:
    """A feature whose values are texts that one encoder numbers."""

    encoder: TextEncoder

    @property
    def fit(self) -> TextEncoder:
        return self.encoder

    def finish(self, folder: Path):
        self.encoder.finish(folder)

    def restore(self, encoding: dict, folder: Path):
        self.encoder.restore(folder)

    @property
    def num_rows(self) -> int:
        return self.encoder.num_rows

    @property
    def encoding(self) -> dict:
        return self.encoder.encoding


class Text(_OfTexts):
    """A categorical column."""

    def __init__(self, column: str, key: str, config: CategoricalConfig):
        self.name, self.want = column, Want(column, "text", f"{key}.columns")
        self.encoder = _text_encoder(column, key, config)
        self.sharers: list[Sequence] = []  # whose values count as well

    def observe(self, block: Block):
        self.encoder.observe(block.columns[self.name])
        for sequence in self.sharers:
            self.encoder.observe(sequence.values(block)[0])

    def texts(self, block: Block) -> pa.Array:
        """What is looked up, string (N,)."""
        return block.columns[self.name]

    def ids(self, block: Block) -> np.ndarray:
        """int (N,)."""
        return self.encoder.ids(block.columns[self.name])


class LogSquare(_OfTexts):
    """A numeric column as a category: the text of log_square(x), by a fitted vocabulary."""

    def __init__(self, column: str, key: str, config: NumericConfig):
        self.name, self.want = column, Want(column, "number", f"{key}.columns")
        self.encoder = Vocabulary(column, key, 1 if config.min_count is None else config.min_count)

    def _categories(self, block: Block) -> pa.DictionaryArray:
        """The text of each row, null where missing; distinct numbers are rendered once."""
        encoded = numbers(block, self.name, self.want.key).dictionary_encode()
        squared = transforms.log_square(encoded.dictionary.to_numpy(zero_copy_only=False))
        return pa.DictionaryArray.from_arrays(encoded.indices, transforms.number_text(squared))

    def observe(self, block: Block):
        categories = self._categories(block)
        counted = pc.value_counts(categories.indices.drop_null())
        texts_seen = categories.dictionary.take(counted.field("values"))
        self.encoder.observe(texts_seen, counted.field("counts").to_numpy())

    @property
    def encoding(self) -> dict:
        return {**self.encoder.encoding, "type": "log_square"}

    def texts(self, block: Block) -> pa.Array:
        """What is looked up in a block, string (V,), each once."""
        return self._categories(block).dictionary

    def ids(self, block: Block) -> np.ndarray:
        """int32 (N,)."""
        categories = self._categories(block)
        return spread(self.encoder.ids(pa.concat_arrays([categories.dictionary, _ONE_BLANK])), categories)


class Quantile:
    """A numeric column as a category: the bucket it falls into; 0 = missing."""

    def __init__(self, column: str, key: str, config: NumericConfig):
        if config.buckets is None:
            raise InputError(f"{key}.buckets: missing; transform=quantile expects an integer, 2 or more.")
        self.name, self.want = column, Want(column, "number", f"{key}.columns")
        self.fit = statistics.Quantiles(config.buckets)
        self.encoding = {"type": "quantile", "column": column}

    def observe(self, block: Block):
        self.fit.add(_present(block, self.want))

    def finish(self, folder: Path):
        _check_has_values(self.fit, self.want)
        self.encoding |= self.fit.parameters()
        del self.fit

    def restore(self, encoding: dict, folder: Path):
        _check_kind(self.name, encoding, self.encoding)
        self.encoding = encoding

    @property
    def num_rows(self) -> int:
        return 2 + len(self.encoding["edges"])

    def ids(self, block: Block) -> np.ndarray:
        """int64 (N,)."""
        array = numbers(block, self.name, self.want.key)
        x = array.fill_null(0).to_numpy(zero_copy_only=False)
        return np.where(is_null(array), 0, transforms.quantile_bucket(x, self.encoding["edges"]))


class Number:
    """A numeric column that stays a number; missing = 0 after the transform."""

    def __init__(self, column: str, key: str, config: NumericConfig):
        self.name, self.want = column, Want(column, "number", f"{key}.columns")
        self.fit = _fit(config.transform)
        self.encoding = {"type": config.transform, "column": column}

    @property
    def needs_fit(self) -> bool:
        return self.fit.needs_values

    def observe(self, block: Block):
        self.fit.add(_present(block, self.want))

    def finish(self, folder: Path):
        _check_has_values(self.fit, self.want)
        parameters = self.fit.parameters()
        if not all(math.isfinite(number) for number in parameters.values()):
            raise InputError(
                f"{self.want.key}: the numbers of column {self.name!r} are too large for transform="
                f"{self.encoding['type']}, whose parameters would be infinite. Mend the file, or set transform=log1p."
            )
        self.encoding |= parameters

    def restore(self, encoding: dict, folder: Path):
        _check_kind(self.name, encoding, self.encoding)
        self.encoding = encoding

    def values(self, block: Block) -> np.ndarray:
        """float32 (N,)."""
        array = numbers(block, self.name, self.want.key)
        x = array.fill_null(0).to_numpy(zero_copy_only=False)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = transforms.scale(x, self.encoding).astype(np.float32)
        scaled = np.where(is_null(array), np.float32(0), scaled)
        finite = np.isfinite(scaled)
        if not finite.all():
            expected = f"a number that fits float32 after transform={self.encoding['type']}"
            raise unexpected(block, np.argmin(finite), self.name, self.want.key, expected)
        return scaled


class MultiValued(_OfTexts):
    """Several values in a cell, from text with a separator or from a list column."""

    def __init__(self, column: str, key: str, config: MultiValuedConfig):
        if config.separator == "":
            raise InputError(f"{key}.separator='': expected at least one character.")
        self.name, self.want = column, Want(column, "list", f"{key}.columns")
        self.max_length, self._separator = config.max_length, config.separator
        self.encoder = _text_encoder(column, key, config)

    def _items(self, block: Block) -> tuple[pa.Array, np.ndarray]:
        """The values that are kept, string (M,), and how many of them each row has, int (N,)."""
        items, rows = _split(block.columns[self.name], self._separator)
        filled = pc.fill_null(pc.not_equal(items, ""), False)
        rows = rows[filled.to_numpy(zero_copy_only=False)]
        position = np.arange(rows.size) - np.searchsorted(rows, rows)  # within its row
        kept = position < self.max_length
        return items.filter(filled).filter(pa.array(kept)), np.bincount(rows[kept], minlength=block.num_rows)

    def observe(self, block: Block):
        self.encoder.observe(self._items(block)[0])

    @property
    def encoding(self) -> dict:
        return {**self.encoder.encoding, "separator": self._separator}

    def texts(self, block: Block) -> pa.Array:
        """What is looked up, string (M,)."""
        return self._items(block)[0]

    def ids(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Ids of all rows one after the other, int (M,), and how many each row has, int (N,)."""
        items, lengths = self._items(block)
        return self.encoder.ids(items), lengths


class Sequence:
    """A list column that is one kind of step of a ready-made history; it shares the ids of a categorical feature."""

    def __init__(self, column: str, key: str, config: SequenceConfig, owner: Text):
        if config.separator == "":
            raise InputError(f"{key}.separator='': expected at least one character.")
        self.name, self.want = column, Want(column, "list", f"{key}.columns")
        self.owner, self._max_length, self.separator = owner, config.max_length, config.separator
        owner.sharers.append(self)
        self.fit = statistics.Nothing()  # its owner has all

    def observe(self, block: Block):
        """Its owner does."""

    def finish(self, folder: Path):
        """Its owner does."""

    def restore(self, encoding: dict, folder: Path):
        """Its owner does."""

    def values(self, block: Block) -> tuple[pa.Array, np.ndarray]:
        """The newest values of each row, string (M,), and how many each row has, int (N,); a blank one is a step."""
        items, rows = _split(block.columns[self.name], self.separator)
        from_end = np.searchsorted(rows, rows, side="right") - np.arange(rows.size)
        kept = from_end <= self._max_length
        return items.filter(pa.array(kept)), np.bincount(rows[kept], minlength=block.num_rows)

    def ids(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Ids of all rows one after the other, int (M,), and how many each row has, int (N,)."""
        values, lengths = self.values(block)
        return self.owner.encoder.ids(values), lengths


class Cross:
    """The raw texts of several categorical columns joined and hashed; nothing to fit. 0 where all are missing."""

    def __init__(self, columns: list[str], buckets: int):
        self.name, self.num_rows = "_x_".join(columns), 1 + buckets
        self._columns, self._buckets = columns, buckets
        self.encoding = {"type": "cross", "columns": columns, "buckets": buckets}

    def ids(self, block: Block) -> np.ndarray:
        """int64 (N,)."""
        parts = [texts(block, column) for column in self._columns]
        joined = pc.binary_join_element_wise(*parts, _CROSS_SEPARATOR, null_handling="replace", null_replacement="")
        all_missing = np.logical_and.reduce([is_null(part) for part in parts])
        return np.where(all_missing, 0, hash_bucket(joined, self._buckets))


def _split(cells: pa.Array, separator: str) -> tuple[pa.Array, np.ndarray]:
    """All values of all cells, string (M,), and the row of each, int (M,); a blank cell has none."""
    if pa.types.is_string(cells.type):
        cells = pc.split_pattern(blank_as_null(cells), separator)
    lengths = pc.fill_null(pc.list_value_length(cells), 0).to_numpy(zero_copy_only=False)
    return pc.list_flatten(cells), np.repeat(np.arange(len(cells)), lengths)  # values below a null are none


def _text_encoder(column: str, key: str, config: CategoricalConfig | MultiValuedConfig) -> TextEncoder:
    if config.hash_buckets is None:
        return Vocabulary(column, key, config.min_count)
    if config.min_count != 1:
        raise InputError(
            f"{key}.min_count={config.min_count} has no effect on hash buckets. Remove it, or set"
            f" {key}.hash_buckets=null for a vocabulary."
        )
    return HashBuckets(column, config.hash_buckets)


def _fit(transform: str) -> statistics.Moments | statistics.Extremes | statistics.Nothing:
    if transform == "standardize":
        return statistics.Moments()
    return statistics.Extremes() if transform == "minmax" else statistics.Nothing()


def _present(block: Block, want: Want) -> np.ndarray:
    return numbers(block, want.column, want.key).drop_null().to_numpy(zero_copy_only=False)


def _check_kind(name: str, known: dict, own: dict):
    """Refuses what an earlier fit found for another transform."""
    if known.get("type") != own["type"]:
        raise InputError(
            f"the features of the config are not those of the schema ({name}: {own['type']} and {known.get('type')}). "
            "Expected config.yaml, schema.json and vocab/ of one run."
        )


def _check_has_values(fit, want: Want):
    if fit.needs_values and fit.count == 0:
        raise InputError(
            f"{want.key}: column {want.column!r} is blank in every row of the training split; its transform cannot be"
            " fitted. Leave the column out, or choose transform=none."
        )
