"""What a prepared dataset holds: the one contract between data and models.

A batch is a dict of packed tensors:

    categorical  int32 (B, F)     rows of the fused table, one column a categorical feature
    numeric      float32 (B, N)   transformed values, one column a numeric feature
    <name>       int32 (B, T)     rows of the fused table, one tensor a multi-valued feature
    <name>_valid bool (B, T)      True where a value is real
    <history>_<step> int32 (B, T) rows of the fused table, one tensor for each kind of step of a history
    <history>_valid  bool (B, T)  True where a step is real: the first ones, oldest first; T is the longest of the batch
    labels       float32 (B, K)   0 or 1, or a number; one column a label
    weight       float32 (B,)     example weight, 1 where the dataset has none
    group        int64 (B,)       hash of the group, 0 for none; absent where the dataset has no groups
    time         float64 (B,)     absent where the dataset has no times
    history      int32 (B, 2)     user and position in the history store; absent where the dataset has none

All features share one numbering of table rows: feature f owns the rows offset .. offset + num_rows - 1, the first of
which stands for "missing" (for a multi-valued feature and a step: padding). A step that names a feature shares its
rows. Hand-made crosses come last, so that the tables of models that do not use them can simply end earlier.
"""

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path

from rectrain.config import Count, NotNegativeCount, parse
from rectrain.errors import InputError
from rectrain.plain_files import read_json

HISTORY = "history"

# Buckets of the time from a step to the row: 0 padding, 1 negative, 2 zero, 3 + k from 2^k up to 2^(k + 1) seconds; the
# first of these takes all shorter times, the last one all longer ones.
NUM_GAPS = 35

_FILE = re.compile(r"vocab/[^/\\]*\.parquet")  # so that no schema reads files of other folders


@dataclass(frozen=True)
class Categorical:
    """One value a row, already a table row. `encoding` says how raw text becomes one."""

    name: str
    num_rows: Count  # ids 0 .. num_rows - 1; 0 = missing
    offset: NotNegativeCount
    encoding: dict


@dataclass(frozen=True)
class Numeric:
    name: str
    encoding: dict


@dataclass(frozen=True)
class MultiValued:
    """Several values a row without order; padded to max_length."""

    name: str
    num_rows: Count
    offset: NotNegativeCount
    max_length: Count
    encoding: dict


@dataclass(frozen=True)
class Step:
    """One kind of thing that each step of a history carries, such as its item."""

    name: str
    feature: str | None  # the categorical feature it is compared with, whose rows it shares; None: rows of its own
    num_rows: Count
    offset: NotNegativeCount
    encoding: dict = dataclasses.field(default_factory=dict)  # of rows of its own


@dataclass(frozen=True)
class History:
    """What a user did before the row's time.

    role: "short": the newest steps; "long": as well, but many more, for models that search among them; "hits": the
    newest steps that have the category of the row's item.
    """

    name: str
    role: str
    max_length: Count
    steps: tuple[Step, ...]  # the item first; those that share a feature's rows before the others (gap, action)
    from_log: bool = True  # read from the history store; False: list columns of the row


@dataclass(frozen=True)
class Schema:
    """Features in the column order of the packed batch."""

    name: str
    categorical: tuple[Categorical, ...]
    numeric: tuple[Numeric, ...]
    multi_valued: tuple[MultiValued, ...]
    crosses: tuple[Categorical, ...]  # the last columns of `categorical` in the batch; only linear parts read them
    labels: tuple[str, ...]
    histories: tuple[History, ...] = ()
    hits_by: str | None = None  # the categorical or multi-valued feature that a hit has in common with the row
    number_labels: tuple[str, ...] = ()  # labels that are numbers; all others are 0 or 1

    @property
    def tables(self) -> "list[Categorical | MultiValued | Step]":
        """Everything with rows of its own in the fused table but the crosses; steps of several histories come again."""
        own = [step for history in self.histories for step in history.steps if step.feature is None]
        return [*self.categorical, *self.multi_valued, *own]

    @property
    def num_embedding_rows(self) -> int:
        """Rows of the fused table without the crosses."""
        return max((table.offset + table.num_rows for table in self.tables), default=0)

    @property
    def num_linear_rows(self) -> int:
        return self.num_embedding_rows + sum(f.num_rows for f in self.crosses)

    @property
    def num_categorical_columns(self) -> int:
        return len(self.categorical) + len(self.crosses)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> "Schema":
        """Raises ValueError where the text does not hold a schema."""
        return _checked(json.loads(text))

    def with_lengths(self, lengths: dict[str, int | None]) -> "Schema":
        """The same with other lengths of the histories from the log, by role; None: without that one.

        A role that is not there takes its steps from the others, which have the same.
        """
        from_log = [h for h in self.histories if h.from_log]
        names = {"short": HISTORY, "long": "long", "hits": "hits"}
        changed = [
            History(names[role], role, length, from_log[0].steps)
            for role, length in lengths.items()
            if length is not None
        ]
        return dataclasses.replace(self, histories=(*changed, *(h for h in self.histories if not h.from_log)))

    def history(self, role: str) -> History | None:
        """The first history of that role."""
        return next((h for h in self.histories if h.role == role), None)

    @staticmethod
    def read(path: Path) -> "Schema":
        """Raises OSError, or ValueError where the file does not hold a schema."""
        return _checked(read_json(path))


_NUMBER = {"column": str}
_ENCODINGS: dict[str, dict] = {
    "vocabulary": {"column": str, "file": str, "min_count": Count},
    "log_square": {"column": str, "file": str, "min_count": Count},
    "hash": {"column": str, "buckets": Count},
    "shared_hash": {"column": str, "buckets": Count, "shift": NotNegativeCount},
    "cross": {"columns": list[str], "buckets": Count},
    "quantile": {"column": str, "edges": list[float]},
    "gap": {},
    "none": _NUMBER,
    "log1p": _NUMBER,
    "standardize": {**_NUMBER, "mean": float, "sd": float},
    "minmax": {**_NUMBER, "min": float, "max": float},
}  # type -> what it says besides; of a multi-valued feature the separator too


def _checked(raw) -> Schema:
    """Raises InputError, which names the value, where a file of ours was changed."""
    schema = parse(Schema, raw, "")
    for kind in ("categorical", "numeric", "multi_valued", "crosses"):
        for i, feature in enumerate(getattr(schema, kind)):
            _check_encoding(feature.encoding, f"{kind}[{i}].encoding")
    for history in schema.histories:
        for step in history.steps:
            if step.feature is None:
                _check_encoding(step.encoding, f"histories.{history.name}.{step.name}.encoding")
    return schema


def _check_encoding(encoding: dict, key: str):
    if not encoding:  # a schema made by hand
        return
    kind = encoding.get("type")
    if not isinstance(kind, str) or kind not in _ENCODINGS:
        raise InputError(f"{key}.type={kind!r}: expected one of {', '.join(_ENCODINGS)}.")
    is_hashed = kind == "log_square" and "shift" in encoding  # by `rectrain online`
    for name, expected in _ENCODINGS["shared_hash" if is_hashed else kind].items():
        parse(expected, encoding.get(name), f"{key}.{name}")
    if "file" in encoding and not _FILE.fullmatch(encoding["file"]):
        raise InputError(f"{key}.file={encoding['file']!r}: expected a file of the folder vocab, as vocab/C1.parquet.")
