"""All features of a dataset in the order of the packed batch: checked, fitted, numbered and encoded together."""

from collections import Counter
from itertools import accumulate
from pathlib import Path

import numpy as np

from rectrain import schema
from rectrain.config import DataConfig, FeatureConfig, NumericConfig
from rectrain.data.blocks import Block
from rectrain.data.columns import Want
from rectrain.data.features import Cross, LogSquare, MultiValued, Number, Quantile, Text
from rectrain.data.threads import on_each
from rectrain.errors import InputError, did_you_mean

_MAX_TABLE_ROWS = 2**31 - 1  # ids are int32
_PACKED_NAMES = ("categorical", "numeric", "labels", "weight", "group", "time")


Column = np.ndarray | tuple[np.ndarray, np.ndarray]


class Features:
    def __init__(self, data: DataConfig):
        made = [
            _kind(config)(column, f"data.features.{group}", config)
            for group, config in data.features.items()
            for column in _checked(f"data.features.{group}", config).columns
        ]
        self._singles = made
        self.categorical = [f for f in made if isinstance(f, Text | LogSquare | Quantile)]
        self.numeric = [f for f in made if isinstance(f, Number)]
        self.multi_valued = [f for f in made if isinstance(f, MultiValued)]
        _check_columns(data, self.wants())
        self.crosses = [_cross(columns, self.categorical, data.cross_buckets) for columns in data.crosses]
        self._name, self._labels = data.name, tuple(data.labels)
        self._check_names()

    def _check_names(self):
        names = Counter(f.name for f in (*self._singles, *self.crosses))
        taken = [*_PACKED_NAMES, *(f"{f.name}_valid" for f in self.multi_valued)]
        for name, count in names.items():
            if count > 1:
                raise InputError(f"data.crosses: there are {count} features called {name!r}; expected one.")
        for feature in self.multi_valued:
            if feature.name in taken:
                raise InputError(
                    f"{feature.want.key}: a multi-valued column may not be called {feature.name!r}, which names another"
                    " part of a batch. Rename the column."
                )

    def wants(self) -> list[Want]:
        return [f.want for f in self._singles]

    def observe(self, block: Block):
        """Fits on rows of the training split."""
        on_each(lambda feature: feature.observe(block), self._singles)

    def finish(self, folder: Path) -> schema.Schema:
        """Ends the fit; vocabularies go into `folder`."""
        on_each(lambda feature: feature.finish(folder), self._singles)
        self._offsets = self._number_rows()
        return self._schema()

    def _number_rows(self) -> dict[str, int]:
        """First row of the fused table of each feature that has rows."""
        tables = (*self.categorical, *self.multi_valued, *self.crosses)
        *starts, total = accumulate((f.num_rows for f in tables), initial=0)
        if total > _MAX_TABLE_ROWS:
            raise InputError(
                f"the features need {total:,} rows of embedding tables; expected at most {_MAX_TABLE_ROWS:,}. Raise"
                " min_count or lower hash_buckets in data.features, or lower data.cross_buckets."
            )
        return {f.name: start for f, start in zip(tables, starts, strict=True)}

    def _schema(self) -> schema.Schema:
        return schema.Schema(
            name=self._name,
            categorical=tuple(map(self._categorical_entry, self.categorical)),
            numeric=tuple(schema.Numeric(f.name, f.encoding) for f in self.numeric),
            multi_valued=tuple(map(self._multi_valued_entry, self.multi_valued)),
            crosses=tuple(map(self._categorical_entry, self.crosses)),
            labels=self._labels,
        )

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
        return packed

    def _encode_ids(self, block: Block, feature, column: np.ndarray):
        np.add(feature.ids(block), self._offsets[feature.name], out=column, casting="same_kind")


def _kind(config: FeatureConfig):
    if isinstance(config, NumericConfig):
        return {"log_square": LogSquare, "quantile": Quantile}.get(config.transform, Number)
    return {"categorical": Text, "multi_valued": MultiValued}[config.type]


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
    task_of = {column: task for task, column in data.labels.items()}
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
