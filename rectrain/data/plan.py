"""All features of a dataset in the order of the packed batch: checked, fitted, numbered and encoded together."""

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np

from rectrain import schema
from rectrain.config import (
    CategoricalConfig,
    Condition,
    DataConfig,
    FeatureConfig,
    HistoryConfig,
    LabelConfig,
    NumericConfig,
    SequenceConfig,
)
from rectrain.data.blocks import Block
from rectrain.data.columns import Want, later_labels, unexpected
from rectrain.data.features import Cross, LogSquare, MultiValued, Number, Quantile, Sequence, Text
from rectrain.data.row_groups import Rows, padded, ragged_columns
from rectrain.data.threads import on_each
from rectrain.errors import InputError, did_you_mean

_MAX_TABLE_ROWS = 2**31 - 1  # ids are int32
_PACKED_NAMES = (
    "categorical",
    "numeric",
    "labels",
    "weight",
    "group",
    "time",
    "history",
    "long",
    "hits",
    "found",
    "trained",
)


Column = np.ndarray | tuple[np.ndarray, np.ndarray]


class Features:
    def __init__(self, data: DataConfig):
        made = [
            self._make(config, column, f"data.features.{group}")
            for group, config in data.features.items()
            if not isinstance(config, SequenceConfig)
            for column in _checked(f"data.features.{group}", config).columns
        ]
        self.categorical = [f for f in made if isinstance(f, Text | LogSquare | Quantile)]
        self.sequences = {
            group: _sequences(f"data.features.{group}", config, self.categorical)
            for group, config in data.features.items()
            if isinstance(config, SequenceConfig)
        }
        self._config = data
        self.action = None if data.history is None else _action(data.history)
        made += [sequence for group in self.sequences.values() for sequence in group]
        self._singles = made
        self.numeric = [f for f in made if isinstance(f, Number)]
        self.multi_valued = [f for f in made if isinstance(f, MultiValued)]
        _check_columns(data, [f.want for f in self._singles])
        _check_log(data)
        self._check_history()
        self.crosses = [_cross(columns, self.categorical, data.cross_buckets) for columns in data.crosses]
        self._check_names()

    def _make(self, config: FeatureConfig, column: str, key: str):
        return _kind(config)(column, key, config)

    def _check_names(self):
        names = Counter(f.name for f in (*self._singles, *self.crosses))
        taken = [*_PACKED_NAMES, *self.sequences, *(f"{f.name}_valid" for f in self.multi_valued)]
        for name, count in names.items():
            if count > 1:
                raise InputError(f"data.crosses: there are {count} features called {name!r}; expected one.")
        for feature in self.multi_valued:
            if feature.name in taken:
                raise InputError(
                    f"{feature.want.key}: a multi-valued column may not be called {feature.name!r}, which names another"
                    " part of a batch. Rename the column."
                )
        for group in self.sequences:
            if group in _PACKED_NAMES:
                raise InputError(f"data.features.{group}: a sequence may not be called {group!r}. Rename the group.")

    def _check_history(self):
        """That the columns which data.history and data.negatives name are features of the right kind."""
        config = self._config
        if config.history is not None:
            if config.history.action in [f.want.column for f in self._singles]:
                raise InputError(
                    f"data.history.action: column {config.history.action!r} is a feature in data.features as well; "
                    "what a user does in a row is not known before it. Remove one of the two."
                )
            steps = [f.name for f in self.categorical]
            _check_named("data.history.steps", config.history.steps, steps, "of a categorical feature")
            by = [] if config.history.by is None else [config.history.by]
            kinds = [*steps, *(f.name for f in self.multi_valued)]
            _check_named("data.history.by", by, kinds, "of a categorical or multi-valued feature")
            if "gap" in config.history.steps or "action" in config.history.steps:
                raise InputError("data.history.steps: gap and action name steps of their own. Rename the column.")
        if config.negatives is not None:
            _check_named("data.negatives.columns", config.negatives.columns, [f.name for f in self._singles], "")
            for columns in config.crosses:
                if set(columns) & set(config.negatives.columns):
                    raise InputError(
                        f"data.crosses: [{', '.join(columns)}] crosses a column of data.negatives.columns, which is "
                        "not possible: the cross of a sampled item is not known. Drop the cross."
                    )

    def wants(self) -> list[Want]:
        return [f.want for f in self._fitted()]

    def _fitted(self) -> list:
        return self._singles if self.action is None else [*self._singles, self.action]

    def begin_file(self, index: int):
        """Says to which of the raw files the blocks belong that are observed next."""
        for feature in self._fitted():
            feature.fit.begin_file(index)

    def observe(self, block: Block):
        """Fits on rows of the training split."""
        on_each(lambda feature: feature.observe(block), self._fitted())

    def state(self) -> dict[str, np.ndarray]:
        """What the rows of one file came to."""
        fits = enumerate(feature.fit for feature in self._fitted())
        return {f"{i}.{name}": array for i, fit in fits for name, array in fit.state().items()}

    def absorb(self, state: Mapping[str, np.ndarray]):
        """Instead of `observe`: takes over the state of a file; those of all files, in their order."""
        own: list[dict] = [{} for _ in self._fitted()]
        for name, array in state.items():
            i, _, name = name.partition(".")
            own[int(i)][name] = array
        on_each(lambda pair: pair[0].fit.absorb(pair[1]), zip(self._fitted(), own, strict=True))

    def finish(self, folder: Path) -> schema.Schema:
        """Ends the fit; vocabularies go into `folder`."""
        on_each(lambda feature: feature.finish(folder), self._fitted())
        self._offsets = self._number_rows()
        return self._schema()

    def restore(self, known: schema.Schema, folder: Path):
        """Instead of `observe` and `finish`: what an earlier fit found, with the vocabularies that it left in `folder`.

        Raises:
            InputError: the schema is that of other features, or a vocabulary is missing or damaged.
        """
        entries: list = [*known.categorical, *known.numeric, *known.multi_valued]
        encodings = {entry.name: entry.encoding for entry in entries}
        on_each(lambda f: f.restore(encodings.get(f.name, {}), folder), self._fitted())
        self._offsets = self._number_rows()
        made = self._schema()
        for kind in ("categorical", "numeric", "multi_valued", "crosses", "labels"):
            if getattr(made, kind) != getattr(known, kind):
                raise InputError(
                    f"the features of the config are not those of the schema ({kind}: {len(getattr(made, kind))} and "
                    f"{len(getattr(known, kind))}, or other rows). Expected config.yaml, schema.json and vocab/ of one "
                    "run."
                )

    def _number_rows(self) -> dict[str, int]:
        """First row of the fused table of each feature that has rows, of "/gap" and of "/action"."""
        sizes = [(f.name, f.num_rows) for f in (*self.categorical, *self.multi_valued)]
        sizes += [(f"/{name}", num_rows) for name, (num_rows, _) in self._own_steps().items()]
        sizes += [(f.name, f.num_rows) for f in self.crosses]
        *starts, total = accumulate((num_rows for _, num_rows in sizes), initial=0)
        if total > _MAX_TABLE_ROWS:
            raise InputError(
                f"the features need {total:,} rows of embedding tables; expected at most {_MAX_TABLE_ROWS:,}. Raise"
                " min_count or lower hash_buckets in data.features, or lower data.cross_buckets."
            )
        return {name: start for (name, _), start in zip(sizes, starts, strict=True)}

    def _own_steps(self) -> dict[str, tuple[int, dict]]:
        """Rows and encoding of the kinds of steps that share no feature's table."""
        history, action = self._config.history, self.action
        gaps = {"gap": (schema.NUM_GAPS, {"type": "gap"})} if history is not None and history.gaps else {}
        return gaps if action is None else {**gaps, "action": (action.num_rows, action.encoding)}

    def _schema(self) -> schema.Schema:
        history = self._config.history
        return schema.Schema(
            name=self._config.name,
            categorical=tuple(map(self._categorical_entry, self.categorical)),
            numeric=tuple(schema.Numeric(f.name, f.encoding) for f in self.numeric),
            multi_valued=tuple(map(self._multi_valued_entry, self.multi_valued)),
            crosses=tuple(map(self._categorical_entry, self.crosses)),
            labels=tuple(self._config.labels),
            histories=(*self._histories_from_log(), *map(self._sequence_entry, self.sequences.items())),
            hits_by=None if history is None else history.by,
            number_labels=number_labels(self._config),
        )

    def _histories_from_log(self) -> list[schema.History]:
        """The short history; Schema.with_lengths makes the others of it."""
        history = self._config.history
        if history is None:
            return []
        steps = [self._step(name) for name in history.steps]
        for name, (num_rows, encoding) in self._own_steps().items():
            steps.append(schema.Step(name, None, num_rows, self._offsets[f"/{name}"], encoding))
        return [schema.History("history", "short", history.max_length, tuple(steps))]

    def _sequence_entry(self, item: tuple[str, list[Sequence]]) -> schema.History:
        group, sequences = item
        config = self._config.features[group]
        assert isinstance(config, SequenceConfig)
        steps = tuple(self._step(sequence.owner.name) for sequence in sequences)
        return schema.History(group, "short", config.max_length, steps, from_log=False)

    def _step(self, name: str) -> schema.Step:
        feature = next(f for f in self.categorical if f.name == name)
        return schema.Step(name, name, feature.num_rows, self._offsets[name])

    def _categorical_entry(self, feature) -> schema.Categorical:
        return schema.Categorical(feature.name, feature.num_rows, self._offsets[feature.name], feature.encoding)

    def _multi_valued_entry(self, feature: MultiValued) -> schema.MultiValued:
        offset = self._offsets[feature.name]
        return schema.MultiValued(feature.name, feature.num_rows, offset, feature.max_length, feature.encoding)

    def encode(self, block: Block) -> dict[str, Column]:
        """The packed columns of a block of N rows; ids are rows of the fused table.

        Returns:
            categorical: int32 (N, F).  numeric: float32 (N, F).  <name> of a multi-valued feature: ids int32 (M,) of
            all rows one after the other, and how many each row has, int (N,). Those of width 0 are absent.
        """
        packed: dict[str, Column] = {}
        categorical = (*self.categorical, *self.crosses)
        if categorical:
            matrix = packed["categorical"] = np.empty((block.num_rows, len(categorical)), np.int32)
            on_each(lambda i: self._encode_ids(block, categorical[i], matrix[:, i]), range(len(categorical)))
        if self.numeric:
            packed["numeric"] = np.stack(on_each(lambda f: f.values(block), self.numeric), axis=1)
        for feature in self.multi_valued:
            values, lengths = feature.ids(block)
            packed[feature.name] = (values + self._offsets[feature.name]).astype(np.int32), lengths
        for group, sequences in self.sequences.items():
            packed |= self._encode_sequences(block, group, sequences)
        return packed

    @cached_property
    def ragged(self) -> dict[str, tuple[str, int, int]]:
        """As batches.ragged_columns says it of the schema."""
        return ragged_columns(self._schema())

    def rows(self, block: Block) -> Rows:
        """As `encode`, but as batches hold it: of ragged columns int32 ids and <name>_valid, both (N, width)."""
        rows: Rows = {}
        for name, column in self.encode(block).items():
            if isinstance(column, tuple):
                valid, width, padding = self.ragged[name]
                rows[name], rows[valid] = padded(*column, width, padding)
            else:
                rows[name] = column
        return rows

    def _encode_sequences(self, block: Block, group: str, sequences: list[Sequence]) -> dict[str, Column]:
        packed: dict[str, Column] = {}
        first_lengths = None
        for sequence in sequences:
            values, lengths = sequence.ids(block)
            first_lengths = lengths if first_lengths is None else first_lengths
            if (lengths != first_lengths).any():
                row = int(np.argmax(lengths != first_lengths))
                raise unexpected(
                    block, row, sequence.name, sequence.want.key, f"as many values as in column {sequences[0].name!r}"
                )
            owner = sequence.owner.name
            packed[f"{group}_{owner}"] = (values + self._offsets[owner]).astype(np.int32), lengths
        return packed

    def ids(self, block: Block, name: str):
        """Of a categorical or multi-valued feature, from its own 0."""
        return next(f for f in (*self.categorical, *self.multi_valued) if f.name == name).ids(block)

    def num_ids(self, name: str) -> int:
        return next(f for f in (*self.categorical, *self.multi_valued) if f.name == name).num_rows

    def _encode_ids(self, block: Block, feature, column: np.ndarray):
        np.add(feature.ids(block), self._offsets[feature.name], out=column, casting="same_kind")


def _kind(config: FeatureConfig):
    if isinstance(config, NumericConfig):
        return {"log_square": LogSquare, "quantile": Quantile}.get(config.transform, Number)
    return {"categorical": Text, "multi_valued": MultiValued}[config.type]


def number_labels(data: DataConfig) -> tuple[str, ...]:
    """Names of the labels that are numbers."""
    return tuple(name for name, label in data.labels.items() if isinstance(label, LabelConfig) and label.number)


def _check_log(data: DataConfig):
    """What needs no file to be seen wrong."""
    for name in later_labels(data):
        if data.history is None or not data.history.steps or data.time is None:
            raise InputError(
                f"data.labels.{name}.later=true is about what a row's user does with its item later: it needs "
                "data.history.user, data.history.steps with the item first, and data.time.column."
            )
    if data.history is not None and data.time is None:
        raise InputError("data.history needs data.time.column: a history is what happened before a row's time.")
    if data.negatives is None:
        for task, label in data.labels.items():
            if label is None:
                raise InputError(
                    f"data.labels.{task}=null is 1 in every row, which needs data.negatives for rows of 0. Set "
                    f"data.negatives, or data.labels.{task} to a column."
                )
    elif data.history is None:
        raise InputError("data.negatives needs data.history.user: an item that the user has is no negative.")
    elif None not in data.labels.values():
        raise InputError("data.negatives needs a label that is null: 1 in each row of the log, 0 in the sampled ones.")


def _sequences(key: str, config: SequenceConfig, categorical: list) -> list[Sequence]:
    texts = {f.name: f for f in categorical if isinstance(f, Text)}
    if len(config.columns) != len(config.shares):
        raise InputError(
            f"{key}.shares: {len(config.shares)} columns for the {len(config.columns)} of {key}.columns; expected one "
            "for each of them."
        )
    _check_named(f"{key}.shares", config.shares, list(texts), "of a feature of type categorical")
    pairs = zip(config.columns, config.shares, strict=True)
    return [Sequence(column, key, config, texts[owner]) for column, owner in pairs]


def _action(history: HistoryConfig) -> Text | None:
    if history.action is None:
        return None
    action = Text(history.action, "data.history.action", CategoricalConfig([history.action]))
    action.want = Want(history.action, "text", "data.history.action")
    return action


def _check_named(key: str, columns: list[str], known: list[str], kind: str):
    for column in columns:
        if column not in known:
            raise InputError(f"{key}: {column!r} is no column {kind or 'of a feature'}.{did_you_mean(column, known)}")
    if len(set(columns)) < len(columns):
        raise InputError(f"{key}: [{', '.join(columns)}] names a column twice; expected different ones.")


def _checked(key: str, config: FeatureConfig) -> FeatureConfig:
    """Refuses settings that the transform does not read."""
    if isinstance(config, NumericConfig):
        for setting, transform in {"min_count": "log_square", "buckets": "quantile"}.items():
            if getattr(config, setting) is not None and config.transform != transform:
                raise InputError(
                    f"{key}.{setting}={getattr(config, setting)} has no effect on transform={config.transform}."
                    f" Remove it, or set {key}.transform={transform}."
                )
    return config


def _column(label) -> str | None:
    return label.column if isinstance(label, Condition) else label


def _cross(columns: list[str], categorical: list, buckets: int) -> Cross:
    crossable = [f.name for f in categorical if isinstance(f, Text)]
    for column in columns:
        if column not in crossable:
            hint = did_you_mean(column, crossable)
            raise InputError(f"data.crosses: {column!r} is no column of a feature of type categorical.{hint}")
    if len(columns) < 2 or len(set(columns)) < len(columns):
        raise InputError(f"data.crosses: [{', '.join(columns)}]; expected two or more different columns.")
    return Cross(columns, buckets)


def _check_columns(data: DataConfig, wants: list[Want]):
    if not data.labels:
        raise InputError("data.labels is empty; expected task: column, such as click: label.")
    if not wants:
        raise InputError("data.features names no column; expected at least one.")
    task_of = {_column(label): task for task, label in data.labels.items()}
    seen: dict[str, Want] = {}
    for want in wants:
        if want.column in task_of:
            raise InputError(
                f"{want.key}: column {want.column!r} is the label of data.labels.{task_of[want.column]}; a label cannot"
                " be a feature. Remove it from one of the two."
            )
        if want.column in seen:
            raise InputError(
                f"{want.key}: column {want.column!r} is already a feature in {seen[want.column].key}. Remove one."
            )
        seen[want.column] = want
