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
from dataclasses import dataclass
from pathlib import Path

HISTORY = "history"

# Buckets of the time from a step to the row: 0 padding, 1 negative, 2 zero, 3 + k from 2^k up to 2^(k + 1) seconds; the
# first of these takes all shorter times, the last one all longer ones.
NUM_GAPS = 35


@dataclass(frozen=True)
class Categorical:
    """One value a row, already a table row. `encoding` says how raw text becomes one."""

    name: str
    num_rows: int  # ids 0 .. num_rows - 1; 0 = missing
    offset: int
    encoding: dict


@dataclass(frozen=True)
class Numeric:
    name: str
    encoding: dict


@dataclass(frozen=True)
class MultiValued:
    """Several values a row without order; padded to max_length."""

    name: str
    num_rows: int
    offset: int
    max_length: int
    encoding: dict


@dataclass(frozen=True)
class Step:
    """One kind of thing that each step of a history carries, such as its item."""

    name: str
    feature: str | None  # the categorical feature it is compared with, whose rows it shares; None: rows of its own
    num_rows: int
    offset: int
    encoding: dict = dataclasses.field(default_factory=dict)  # of rows of its own


@dataclass(frozen=True)
class History:
    """What a user did before the row's time.

    role: "short": the newest steps; "long": as well, but many more, for models that search among them; "hits": the
    newest steps that have the category of the row's item.
    """

    name: str
    role: str
    max_length: int
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
        raw = json.loads(text)
        return Schema(
            name=raw["name"],
            categorical=tuple(Categorical(**f) for f in raw["categorical"]),
            numeric=tuple(Numeric(**f) for f in raw["numeric"]),
            multi_valued=tuple(MultiValued(**f) for f in raw["multi_valued"]),
            crosses=tuple(Categorical(**f) for f in raw["crosses"]),
            labels=tuple(raw["labels"]),
            histories=tuple(
                History(**{**history, "steps": tuple(Step(**step) for step in history["steps"])})
                for history in raw["histories"]
            ),
            hits_by=raw["hits_by"],
            number_labels=tuple(raw["number_labels"]),
        )

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
        return Schema.from_json(path.read_text(encoding="utf-8"))
