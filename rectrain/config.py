"""One typed dataclass for each section of the config, checked before any data is read.

`parse` turns the plain dict that Hydra composed into the dataclass and names the key of whatever does not fit. Defaults
live in the YAML files, except inside a dataset's format and feature groups, whose own are below.
"""

import dataclasses
import math
import re
import types
import typing
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from rectrain.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Range:
    """Bounds of a number: low <= x <= high, or low < x where `open_low`, x < high where `open_high`."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def holds(self, x) -> bool:
        above = x > self.low if self.open_low else x >= self.low
        below = x < self.high if self.open_high else x <= self.high
        return above and below

    def __str__(self):
        left = f"{'(' if self.open_low or self.low == -math.inf else '['}{_shown(self.low)}"
        right = f"{_shown(self.high)}{')' if self.open_high or self.high == math.inf else ']'}"
        return f"{left}, {right}"


def _shown(bound: float) -> str:
    """Large whole numbers digit by digit."""
    return f"{bound:.0f}" if 1e6 <= abs(bound) < math.inf else f"{bound:g}"


MOST = 2**31 - 1  # rows, buckets, lengths: ids are int32
Count = Annotated[int, Range(1, MOST)]
NotNegativeCount = Annotated[int, Range(0, MOST)]
NumRows = Annotated[int, Range(0, 2**63 - 1)]  # of files and streams
NotNegative = Annotated[float, Range(0)]
Positive = Annotated[float, Range(0, open_low=True)]
Fraction = Annotated[float, Range(0, 1)]
SMALLEST_TABLE = 10  # rows


@dataclass(frozen=True)
class CategoricalConfig:
    """Values looked up in a vocabulary fitted on the training split, or hashed."""

    columns: list[str]
    type: Literal["categorical"] = "categorical"
    min_count: Count = 1  # rarer values in the training split are out of vocabulary
    hash_buckets: Count | None = None  # null: a vocabulary


@dataclass(frozen=True)
class NumericConfig:
    """Numbers, transformed; log_square and quantile make categories of them."""

    columns: list[str]
    type: Literal["numeric"] = "numeric"
    transform: Literal["none", "log1p", "standardize", "minmax", "log_square", "quantile"] = "none"
    min_count: Count | None = None  # log_square only; null: 1
    buckets: Annotated[int, Range(2, 1_000_000)] | None = None  # quantile only


@dataclass(frozen=True)
class MultiValuedConfig:
    """Several values in one cell, without order: split at `separator`, or a list column of a parquet file."""

    columns: list[str]
    type: Literal["multi_valued"] = "multi_valued"
    separator: str = "|"
    max_length: Count = 20  # values kept of one cell, from its start
    min_count: Count = 1
    hash_buckets: Count | None = None


@dataclass(frozen=True)
class SequenceConfig:
    """A history that arrives ready-made: list columns of equal lengths, oldest value first."""

    columns: list[str]
    shares: list[str]  # for each of them the categorical column whose vocabulary and table it shares
    type: Literal["sequence"] = "sequence"
    separator: str = "|"
    max_length: Count = 50  # values kept of one cell, from its end


FeatureConfig = CategoricalConfig | NumericConfig | MultiValuedConfig | SequenceConfig


@dataclass(frozen=True)
class Condition:
    """Which rows of a log are meant, by one of their columns: a number of at least so much, or one of some texts."""

    column: str
    at_least: float | None = None
    one_of: list[str] | None = None

    def __post_init__(self):
        if (self.at_least is None) == (self.one_of is None):
            raise InputError(
                f"a condition on column {self.column!r} needs either at_least (a number) or one_of (a list of texts), "
                "as in data.labels.like={column: rating, at_least: 4}."
            )


@dataclass(frozen=True)
class LabelConfig(Condition):
    """When a label is 1, or the column of a label that is a number."""

    number: bool = False
    later: bool = False  # 1 where the row's user has a row like that with the row's item, at its time or later

    def __post_init__(self):
        if [self.at_least is not None, self.one_of is not None, self.number].count(True) != 1:
            raise InputError(
                f"the label of column {self.column!r} needs at_least (a number), one_of (a list of texts) or "
                "number: true, as in data.labels.like={column: rating, at_least: 4}."
            )
        if self.later and self.number:
            raise InputError(
                f"the label of column {self.column!r} has later: true, which asks whether something happens, and "
                "number: true. Drop one of them."
            )


@dataclass(frozen=True)
class HistoryConfig:
    """The rows are a log: what a row's user did before its time, read from the same log."""

    user: str  # column: whose history
    steps: list[str]  # categorical columns that each step carries in the tables they have, the item first
    action: str | None = None  # column of the type or the strength of an action; its values get rows of their own
    where: Condition | None = None  # which rows enter histories; null: all
    gaps: bool = True  # whether a step carries the bucket of its time gap to the row
    by: str | None = None  # categorical or multi-valued column that a step and the row have in common to be a hit
    max_length: Count = 50  # newest steps of the short history
    long_length: Count | None = None  # newest steps of the long history; null: there is none
    hits_length: Count | None = None  # newest hits; null: none

    def __post_init__(self):
        if (self.hits_length is None) != (self.by is None):
            raise InputError(
                "data.history.by and data.history.hits_length go together: the column that makes a step a hit, and how "
                f"many of them are kept; received {self.by!r} and {self.hits_length}."
            )


@dataclass(frozen=True)
class NegativesConfig:
    """Rows with label 0 for a log of what happened: the same user and time with an item that the user never has."""

    columns: list[str]  # features of the item, its key first: what a negative has of its own
    per_positive: Count = 1
    power: NotNegative = 0.0  # P(item) ~ its count in the training split ** power; 0: all items alike
    seed: Annotated[int, Range(0, 2**63 - 1)] = 0


@dataclass(frozen=True)
class FormatConfig:
    """How raw files are laid out. Everything but `reader` concerns delimited text."""

    reader: str  # rectrain/data/readers/<reader>.py
    delimiter: str = ","
    quote: str | None = '"'  # null: quotes are ordinary characters
    header: bool = True
    columns: list[str] | None = None  # names, where the files have no header
    null_values: list[str] = field(default_factory=lambda: [""])


@dataclass(frozen=True)
class TimeConfig:
    column: str
    format: str | None  # strptime; null: the column holds numbers

    def __post_init__(self):
        if self.format is not None and "%Z" in self.format:
            raise InputError(
                f"data.time.format={self.format!r}: names of time zones (%Z) do not tell a moment. Write offsets from "
                "UTC, as in +02:00, and read them with %z; or, of times in UTC, put its name where %Z is."
            )


@dataclass(frozen=True)
class SplitConfig:
    """Which row belongs to train, valid and test."""

    by: Literal["order", "random", "hash", "time", "last", "files"]
    train: Fraction
    valid: Fraction
    test: Fraction
    seed: Annotated[int, Range(0, 2**63 - 1)]  # random
    column: str | None  # hash: rows of equal value stay together; last: whose last rows are meant
    valid_from: str | float | None  # time: first moment of valid and test, as written in the column; null: by fractions
    test_from: str | float | None
    files: dict[str, str | list[str]] | None  # files: {train: ..., valid: ..., test: ...}, paths or globs

    def __post_init__(self):
        if self.by != "files" and abs(self.train + self.valid + self.test - 1) > 1e-9:
            total = self.train + self.valid + self.test
            raise InputError(
                f"data.split: train + valid + test must be 1; received {self.train:g} + {self.valid:g} + {self.test:g}"
                f" = {total:g}. Set data.split.train, data.split.valid and data.split.test."
            )
        if self.by == "hash" and self.column is None:
            raise InputError("data.split.by=hash needs data.split.column, the key whose rows stay together.")
        if self.by == "last" and self.column is None:
            raise InputError("data.split.by=last needs data.split.column, the user whose last rows are set aside.")
        if self.by != "files" and self.files is not None:
            raise InputError(f"data.split.files is for data.split.by=files; received data.split.by={self.by}.")
        if self.by == "files" and not self.files:
            raise InputError("data.split.by=files needs data.split.files.train (and .valid, .test): paths or globs.")
        if (self.valid_from is None) != (self.test_from is None):
            raise InputError("data.split.valid_from and data.split.test_from go together; one of them is null.")


@dataclass(frozen=True)
class SampleConfig:
    """The built-in planted-truth sample that stands in where the data set's files are absent."""

    layout: str
    rows: Count
    seed: int
    truth: str | None = None  # what the labels depend on, where a layout has several


@dataclass(frozen=True)
class DataConfig:
    name: str
    source: Literal["auto", "files", "sample"]  # auto: the sample where `folder` holds no files
    folder: str | None  # where the raw files are looked for when `files` is null
    patterns: list[str]  # names of the raw files in a folder; others there are let be
    files: str | list[str] | None  # paths, globs or folders; a missing one is an error
    prepared_dir: str
    format: FormatConfig
    labels: dict[str, str | LabelConfig | None]  # name -> column of 0 and 1; or when it is 1; null: 1 in each row
    rows: Condition | None  # which rows of a log are rows of the data set; null: all
    weight: str | None  # column of example weights
    group: str | None  # column whose rows are ranked against each other (GAUC)
    time: TimeConfig | None
    features: dict[str, FeatureConfig]
    crosses: list[list[str]]  # pairs (or more) of categorical columns, hashed together; the linear part reads them
    cross_buckets: Count
    history: HistoryConfig | None
    negatives: NegativesConfig | None
    max_bad_rows: NotNegativeCount  # rectrain online: rows that do not parse and are skipped; one more stops it
    drop_inconsistent: list[list[str]]  # [[click, conversion]]: rows with a conversion and no click are left out
    split: SplitConfig
    sample: SampleConfig | None

    def __post_init__(self):
        check_is_name(self.name, "data.name")
        for label in self.labels:
            check_is_name(label, f"data.labels.{label}")


@dataclass(frozen=True)
class TaskConfig:
    """What is learned from one label."""

    label: str | None = None  # of data.labels; null: the one with the task's name
    given: str | None = None  # the label that is 1 in the rows that count, such as click for conversions; null: all do
    weight: NotNegative = 1.0  # of its loss; 0: scored, not trained on
    loss: Literal["binary_crossentropy", "mean_squared_error"] | None = None  # null: as the label is
    metrics: list[str] | None = None  # null: all


@dataclass(frozen=True)
class TasksConfig:
    tasks: dict[str, TaskConfig] | None  # null: one a label of the data set
    only: list[str] | None  # names of those that are learned; null: all
    on_inconsistent: Literal["error", "drop"]  # rows whose label is 1 where the label it is given is 0

    def __post_init__(self):
        for task in self.tasks or {}:
            check_is_name(task, f"task.tasks.{task}")


@dataclass(frozen=True)
class ScheduleConfig:
    """Learning rate over the steps of the run; the optimizer's own rate is the top."""

    warmup_steps: NotNegativeCount
    decay: Literal["constant", "linear", "cosine", "inverse_sqrt"]
    final_fraction: Fraction  # of the rate, reached at the last step (linear, cosine)
    plateau_factor: Annotated[float, Range(0, 1, open_low=True)] | None  # null: never cut
    plateau_patience: Count  # evaluations without gain before a cut


@dataclass(frozen=True)
class TrainerConfig:
    batch_size: Count  # examples in a step, over all replicas
    eval_batch_size: Count
    epochs: Count
    max_steps: Count | None  # null: as many as the epochs hold
    eval_every_steps: Count | None  # null: at the end of each epoch
    monitor: str  # metric of the validation split: auc, the mean over tasks by their weights; or task.auc
    patience: Count | None  # evaluations without gain before training stops; null: never
    schedule: ScheduleConfig
    precision: Literal["float32", "bfloat16"]
    steps_per_call: Count  # inner steps of one tf.function call
    shuffle_rows: Count  # window that is shuffled in memory, rows
    readers: Count | None  # each shuffles a part of the files and gives each batch a share; null: one a worker
    keep_checkpoints: Count
    save_every_s: NotNegative  # seconds between checkpoints, beside those of evaluations
    report_splits: list[Literal["train", "valid", "test"]]


@dataclass(frozen=True)
class OptimizerConfig:
    """What all optimizers share; `settings` are the keyword arguments of rectrain/optimizers/<name>.py."""

    name: str
    settings: dict[str, Any]
    regularize: Literal["batch", "frequency", "table"]  # L2 over the rows a batch used, or over whole tables
    l2_embedding: NotNegative  # of tables, linear ones too: l2 / 2 * sum of squares
    l2_dense: NotNegative  # of all other weights
    clip_norm: Positive | None  # over all gradients together


@dataclass(frozen=True)
class StrategyConfig:
    name: Literal["auto", "one", "mirrored", "multi_worker", "parameter_server"]
    devices: list[str] | None = None  # of mirrored alone, as in [gpu:0, gpu:1]; null: all GPUs
    cpu_replicas: Count | None = None  # of mirrored alone: replicas on one CPU, for tests
    communication: Literal["auto", "ring", "nccl"] | None = None  # of multi_worker alone
    wait_s: Positive | None = None  # seconds, of multi_worker and parameter_server

    def __post_init__(self):
        if self.name != "mirrored" and (self.devices or self.cpu_replicas):
            raise InputError(f"strategy.devices and strategy.cpu_replicas need strategy=mirrored, not {self.name}.")
        if self.devices is not None and self.cpu_replicas is not None:
            raise InputError("strategy.cpu_replicas makes devices of its own; set it or strategy.devices to null.")
        self._check_of_processes("communication", ("multi_worker",))
        self._check_of_processes("wait_s", ("multi_worker", "parameter_server"))

    def _check_of_processes(self, key: str, strategies: tuple[str, ...]):
        if (getattr(self, key) is not None) != (self.name in strategies):
            raise InputError(
                f"strategy.{key} goes with strategy={' and '.join(strategies)}, and with no other; received "
                f"strategy.name={self.name} and strategy.{key}={getattr(self, key)}."
            )


@dataclass(frozen=True)
class TrackerConfig:
    """Where a run is told of beside its own files."""

    name: Literal["none", "mlflow"]
    uri: str | None = None  # of mlflow alone
    experiment: str = ""

    def __post_init__(self):
        check_no_password(self.uri)


@dataclass(frozen=True)
class ExpectConfig:
    """A gate for regression runs: exit code 3 where the test metric leaves value +- tolerance."""

    metric: str  # auc, or task.auc
    value: float
    tolerance: Positive


@dataclass(frozen=True)
class ModelConfig:
    """`settings` are the keyword arguments of `build` in rectrain/models/<name>.py."""

    name: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class TrainConfig:
    seed: Annotated[int, Range(0, 2**32 - 1)]
    resume: bool
    data: DataConfig
    task: TasksConfig
    model: ModelConfig
    optimizer: OptimizerConfig
    strategy: StrategyConfig
    trainer: TrainerConfig
    tracker: TrackerConfig
    expect: ExpectConfig | None


@dataclass(frozen=True)
class StepBenchConfig:
    """Synthetic rows for `rectrain bench`."""

    vocabulary: Count
    categorical: Count
    numeric: NotNegativeCount
    history_length: NotNegativeCount
    labels: Count
    batch_size: Count
    steps: Count
    precision: Literal["float32", "bfloat16"]

    def __post_init__(self):
        if self.vocabulary < SMALLEST_TABLE * self.categorical:
            raise InputError(
                f"bench.vocabulary={self.vocabulary}: expected at least {SMALLEST_TABLE} rows for each of the "
                f"{self.categorical} features (bench.categorical)."
            )
        if self.history_length and self.categorical < 2:
            raise InputError(
                f"bench.history_length={self.history_length} needs two features, an item and its category; set "
                "bench.categorical=2 or more."
            )


@dataclass(frozen=True)
class BenchConfig:
    seed: Annotated[int, Range(0, 2**32 - 1)]
    model: ModelConfig
    optimizer: OptimizerConfig
    strategy: StrategyConfig
    bench: StepBenchConfig
    output: str | None


@dataclass(frozen=True)
class StreamConfig:
    """How `rectrain online` reads and learns."""

    source: Literal["raw", "prepared"]
    batch_size: Count  # 1: row by row
    bits: Annotated[int, Range(4, 30)]  # raw: 2^bits rows of one hashed table
    min_count: Annotated[int, Range(1, 255)]  # row by row: occurrence from which on a value has a weight
    filter_bits: Annotated[int, Range(4, 32)]  # 2^filter_bits bytes of counters, where min_count > 1
    window: Count | None  # rows between lines of the table; null: from 1,000 on each twice as far
    save_every_s: NotNegative
    watch_s: NotNegative | None  # raw: further files are looked for until none came for that long; null: never

    def __post_init__(self):
        if self.source == "prepared" and self.watch_s is not None:
            raise InputError("online.watch_s looks for raw files; set online.source=raw, or online.watch_s=null.")


@dataclass(frozen=True)
class OnlineConfig:
    seed: Annotated[int, Range(0, 2**32 - 1)]
    resume: bool
    data: DataConfig
    task: TasksConfig
    model: ModelConfig
    optimizer: OptimizerConfig
    strategy: StrategyConfig
    online: StreamConfig


@dataclass(frozen=True)
class EvaluateSection:
    by: list[str]
    importance: NotNegativeCount


@dataclass(frozen=True)
class EvaluateConfig:
    run: str
    input: str | list[str] | None
    split: Literal["train", "valid", "test"]
    checkpoint: str | int | list[str | int]
    explain: NotNegativeCount
    output: str | None
    strategy: StrategyConfig
    evaluate: EvaluateSection


@dataclass(frozen=True)
class PredictSection:
    keep: list[str]
    explain: NotNegativeCount


@dataclass(frozen=True)
class PredictConfig:
    run: str
    input: str | list[str]
    output: str
    checkpoint: str | int
    strategy: StrategyConfig
    predict: PredictSection


@dataclass(frozen=True)
class ExportSection:
    formats: list[Literal["saved_model", "onnx", "keras"]]
    embeddings: list[str]


@dataclass(frozen=True)
class ExportConfig:
    run: str
    checkpoint: str | int
    export: ExportSection
    files: str | list[str] | None  # that name the values of hashed features; null: data.files of the run
    output: str | None


@dataclass(frozen=True)
class CompareConfig:
    runs: list[str]
    split: Literal["train", "valid", "test"] | None
    output: str | None
    baseline: str | None
    fail_if_worse: bool


@dataclass(frozen=True)
class PruneConfig:
    startup_trials: NotNegativeCount
    warmup_evaluations: NotNegativeCount


@dataclass(frozen=True)
class SearchConfig:
    """The section `sweep`, which the sweeper reads; no job has it."""

    sampler: Literal["tpe", "random"]
    seed: Annotated[int, Range(0, 2**32 - 1)]
    trials: Count
    trials_at_once: Count
    seeds: Count
    prune: PruneConfig | None
    space: dict[str, dict[str, Any]]  # read by search/space.py


@dataclass(frozen=True)
class StageConfig:
    stage: Literal["count", "fit", "merge", "encode"] | None
    part: Count
    parts: Count


@dataclass(frozen=True)
class ClusterConfig:
    workers: Count
    servers: NotNegativeCount
    grace_s: Positive  # seconds


@dataclass(frozen=True)
class PrepareConfig:
    data: DataConfig
    prepare: StageConfig


@dataclass(frozen=True)
class InitData:
    files: str


@dataclass(frozen=True)
class InitConfig:
    data: InitData
    label: str | list[str] | None
    header: bool | None
    rows: Annotated[int, Range(1, 10_000_000)]  # they are held in memory
    output: str | None


@dataclass(frozen=True)
class ConfigSource:
    """Where Hydra looks for YAML files."""

    schema: str  # file, or pkg: a package
    path: str
    provider: str


@dataclass(frozen=True)
class ListConfig:
    sources: list[ConfigSource]


def parse(kind, value, key: str):
    """`value` as the type `kind`: a dataclass from a dict, or any annotation this file uses.

    Raises:
        InputError: names `key` (or the key below it), what came and what was expected.
    """
    origin = typing.get_origin(kind)
    if origin is Annotated:
        return _parse_bounded(kind, value, key)
    if origin in (typing.Union, types.UnionType):
        return _parse_union(kind, value, key)
    if origin is Literal:
        return _parse_choice(typing.get_args(kind), value, key)
    if origin is list:
        return _parse_list(kind, value, key)
    if origin is tuple:
        return tuple(_parse_list(kind, value, key))
    if origin is dict:
        return _parse_dict(kind, value, key)
    if dataclasses.is_dataclass(kind):
        return _parse_dataclass(kind, value, key)
    return _parse_plain(kind, value, key)


def check_is_name(name, key: str):
    """Refuses what would not be one part of a path: names of data sets and tasks become parts of names of files."""
    if not isinstance(name, str) or not re.fullmatch(r"[^/\\\x00-\x1f]{1,100}", name) or name.startswith("."):
        raise InputError(
            f"{key}={name!r:.200}: expected a part of a file name, 1 to 100 characters without / and \\, that does not "
            "start with a point."
        )


def check_no_password(uri):
    """Configs are copied into reports: what they hold is no secret."""
    try:
        holds = isinstance(uri, str) and urlsplit(uri).password is not None
    except ValueError:  # no address at all, as whoever opens it will say
        return
    if holds:
        raise InputError(
            "tracker.uri holds a password, and a config is copied into reports. Leave it out, and set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_URI, in the environment."
        )


def check_keys(value: dict, known, key: str):
    """Refuses a key that nobody reads, with a suggestion."""
    for name in value:
        if name not in known:
            raise InputError(f"{_join(key, name)}: no such key.{did_you_mean(str(name), known)}")


def _parse_dataclass(kind, value, key):
    if not isinstance(value, dict):
        raise _unexpected(key, value, "a section of keys")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind, include_extras=True)
    check_keys(value, fields, key)
    for name, f in fields.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and name not in value:
            raise InputError(f"{_join(key, name)}: missing; expected {describe(hints[name])}.")
    return kind(**{name: parse(hints[name], v, _join(key, name)) for name, v in value.items()})


def _parse_bounded(kind, value, key):
    base, bounds = typing.get_args(kind)
    number = parse(base, value, key)
    if not bounds.holds(number):
        raise InputError(f"{key}={number}: expected {base.__name__} in {bounds}.")
    return number


def _parse_union(kind, value, key):
    members = typing.get_args(kind)
    if value is None and type(None) in members:
        return None
    members = [m for m in members if m is not type(None)]
    if all(dataclasses.is_dataclass(m) for m in members) and len(members) > 1:
        return _parse_by_type(members, value, key)
    if isinstance(value, dict):  # what is wrong in it is said better by the section it was meant to be
        members = [m for m in members if dataclasses.is_dataclass(m)] or members
    for member in members:
        try:
            return parse(member, value, key)
        except InputError as error:
            if len(members) == 1:
                raise
            last = error
    raise _unexpected(key, value, describe(kind)) from last


def _parse_by_type(members, value, key):
    """The dataclass whose `type` default equals value["type"]."""
    if not isinstance(value, dict):
        raise _unexpected(key, value, "a section of keys")
    by_type = {m.__dataclass_fields__["type"].default: m for m in members}
    chosen = _parse_choice(tuple(by_type), value.get("type"), _join(key, "type"))
    return parse(by_type[chosen], value, key)


def _parse_choice(choices, value, key):
    if value not in choices:
        raise InputError(f"{key}={value}: expected one of {', '.join(map(str, choices))}.")
    return value


def _parse_list(kind, value, key):
    if not isinstance(value, list):
        raise _unexpected(key, value, describe(kind))
    item = typing.get_args(kind)[0]  # of a tuple ... comes behind
    return [parse(item, v, f"{key}[{i}]") for i, v in enumerate(value)]


def _parse_dict(kind, value, key):
    if not isinstance(value, dict):
        raise _unexpected(key, value, "a section of keys")
    _, item = typing.get_args(kind)
    return {str(name): parse(item, v, _join(key, name)) for name, v in value.items()}


def _parse_plain(kind, value, key):
    if kind is Any:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():  # YAML reads 16e6 as a float
        return int(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise _unexpected(key, value, describe(kind))
    return value


def _unexpected(key, value, expected):
    shown = "null" if value is None else f"{value!r}"[:80]
    return InputError(f"{key}={shown}: expected {expected}.")


def describe(kind) -> str:
    """An annotation in the words of a message."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return f"{describe(args[0])} in {args[1]}"
    if origin is Literal:
        return f"one of {', '.join(map(str, args))}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(a) for a in args)
    if origin in (list, tuple):
        return f"a list of {describe(args[0])}"
    if dict in (origin, kind) or dataclasses.is_dataclass(kind):
        return "a section of keys"
    names = {int: "an integer", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    return names[kind]


def _join(key, name):
    return f"{key}.{name}" if key else str(name)
