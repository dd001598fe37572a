"""What the cells of one column are like."""

import functools
import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NULLS = ("\\N", "NULL", "null", "NA", "N/A", "n/a", "NaN", "nan", "None", "none", "?", "-", "#N/A")
SURE_NULLS = ("\\N", "NULL", "null", "?", "#N/A")  # texts that no category is called


@dataclass(frozen=True)
class Column:
    """A column of text; texts: string (N,), null where missing."""

    name: str
    texts: pa.Array

    @property
    def num_rows(self) -> int:
        return len(self.texts)

    @property
    def num_present(self) -> int:
        return self.num_rows - self.texts.null_count

    @property
    def missing(self) -> float:
        """Share of the rows, [0, 1]."""
        return self.texts.null_count / self.num_rows

    @functools.cached_property
    def _counts(self) -> tuple[pa.Array, np.ndarray]:
        found = pc.value_counts(self.texts.drop_null())
        counts = found.field("counts").to_numpy(zero_copy_only=False)
        order = np.argsort(-counts, kind="stable")
        return found.field("values").take(pa.array(order)), counts[order]

    @property
    def distinct(self) -> int:
        return len(self._counts[0])

    def values(self, most: int) -> list[str]:
        """The most frequent values, most frequent first."""
        return self._counts[0][:most].to_pylist()

    @property
    def uniqueness(self) -> float:
        """Distinct values over cells that are not missing, (0, 1]."""
        return self.distinct / max(self.num_present, 1)

    @functools.cached_property
    def numbers(self) -> np.ndarray | None:
        """float64 (number of cells that are not missing,), where all of them are finite numbers."""
        if not self.num_present:
            return None
        try:
            numbers = pc.cast(pc.ascii_trim_whitespace(self.texts.drop_null()), pa.float64()).to_numpy()
        except pa.ArrowInvalid:
            return None
        return numbers if np.isfinite(numbers).all() else None

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers alone, as ids and counts do; codes such as 007 are text."""
        if self.numbers is None or not (np.trunc(self.numbers) == self.numbers).all():
            return False
        return not pc.any(pc.match_substring_regex(self.texts, r"[.eE]|^0\d")).as_py()

    @functools.cached_property
    def words(self) -> set[str]:
        """Of its name, in lower case: user_id and userId are user and id."""
        apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", self.name)
        return set(re.findall(r"[a-z]+|\d+", apart.lower()))

    def is_called(self, words: frozenset[str]) -> bool:
        return bool(self.words & words) or self.name.lower() in words


def nulls(columns: dict[str, pa.Array]) -> list[str]:
    """Texts that stand for a missing value: among numbers, or anywhere where no category would be so called."""
    found = set()
    for texts in columns.values():
        if not pa.types.is_string(texts.type):
            continue
        candidates = texts.filter(pc.is_in(texts, pa.array(NULLS)))
        here = set(candidates.unique().to_pylist())
        found |= here & set(SURE_NULLS)
        if here and Column("", without(texts, sorted(here))).numbers is not None:
            found |= here
    return [text for text in NULLS if text in found]


def without(texts: pa.Array, missing: list[str]) -> pa.Array:
    """Null where the text is one of `missing`."""
    return pc.if_else(pc.is_in(texts, pa.array(missing, pa.string())), pa.scalar(None, pa.string()), texts)
