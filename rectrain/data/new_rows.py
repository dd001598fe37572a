"""Raw rows that came after the training, read as a trained model reads them: same layout, same encodings.

Letters: N rows of a block.
"""

import contextlib
import dataclasses
import itertools
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np

from rectrain import registry
from rectrain.config import DataConfig, FormatConfig
from rectrain.data import conditions, targets
from rectrain.data.blocks import Block
from rectrain.data.columns import Want, history_columns, label_columns, later_labels, select, special_columns
from rectrain.data.passes import RawFiles
from rectrain.data.plan import Features
from rectrain.data.row_groups import Rows
from rectrain.data.sources import named_files
from rectrain.data.threads import ahead
from rectrain.errors import InputError
from rectrain.schema import HISTORY, Schema

Say = Callable[[str], object]


class NewRows:
    """Files of raw rows; a row's history are the events before it in the same files.

    Args:
        data: of the run.  features: restored.  files: paths, globs or folders.
        inputs: names of what the model reads.
        keep: raw columns that blocks hold as text besides.
        labelled: labels, weight and group are read as well, and rows that are none of the data set (data.rows) left
            out. Otherwise every row is one.
    Raises:
        InputError: a file or a column is missing, or labels cannot be read from files.
    """

    def __init__(
        self,
        data: DataConfig,
        schema: Schema,
        features: Features,
        files: str | list[str],
        inputs: Collection[str],
        *,
        say: Say,
        keep: Collection[str] = (),
        labelled: bool = False,
    ):
        if labelled:
            _check_labels(data)
        self._data, self._schema, self._features, self._inputs = data, schema, features, inputs
        self._labelled = labelled
        self.paths = named_files(files, "input", data.patterns)
        self._reads_log = any(h.from_log and f"{h.name}_valid" in inputs for h in schema.histories)
        self._raw = RawFiles({"all": self.paths}, _format(self.paths, data), say)
        self._wants = [*features.wants(), *(Want(column, "text", "predict.keep") for column in keep)]
        if labelled:
            self._wants += special_columns(data)
        elif self._reads_log:
            self._wants += history_columns(data)
        self._raw.check(self._wants)

    def blocks(self, title: str, scratch: Path) -> Iterator[tuple[Block, Rows]]:
        """Each block of rows, and the same as batches hold them; made while the one before is worked on.

        Args:
            scratch: a folder with room for histories, 12 bytes and more an event, meanwhile.
        """
        with contextlib.ExitStack() as stack:
            history = None
            if self._reads_log:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=".histories-", dir=scratch))
                history = self._history(Path(folder))
            blocks = (self._kept(block) for _, _, block in self._raw.blocks(self._wants, title))
            found = ahead((block, self._packed(block, history)) for block in blocks if block is not None)
            first = next(found, None)
            if first is None:
                raise InputError(
                    "input: no row of the files is one of the data set: see data.rows of the run's config."
                )
            yield from itertools.chain([first], found)

    def _history(self, folder: Path) -> Callable[[Block, Rows], Rows]:
        """Puts the events of the files into a store below `folder`; what reads the histories of a block from it."""
        from rectrain.data.history_views import HistoryViews  # loads numba
        from rectrain.data.log import Log

        log = Log(dataclasses.replace(self._data, negatives=None), self._features, {})
        for _, _, block in self._raw.blocks(self._wants, "reading histories"):
            log.observe(block, in_train=None)
        log.begin(folder)
        for _, _, block in self._raw.blocks(self._wants, "indexing histories"):
            log.index(block)
        log.finish()
        views = HistoryViews.of(self._schema, folder, self._inputs)
        assert views is not None
        time = self._data.time
        assert time is not None
        return lambda block, rows: views.read({**rows, HISTORY: log.places(block), "time": targets.times(block, time)})

    def _kept(self, block: Block) -> Block | None:
        if not self._labelled:
            return block
        kept = conditions.holds(block, self._data.rows, "data.rows")
        if self._data.drop_inconsistent:
            kept &= targets.consistent(targets.labels(block, self._data, {}), self._data)
        return select(block, np.flatnonzero(kept)) if kept.any() else None

    def _packed(self, block: Block, history: Callable[[Block, Rows], Rows] | None) -> Rows:
        rows = self._features.rows(block)
        if self._labelled:
            rows |= targets.read(block, self._data, {})
        return rows if history is None else {**rows, **history(block, rows)}


def _format(paths: list[Path], data: DataConfig) -> FormatConfig:
    """That of the data set; by suffix where parquet stands for text or text for parquet."""
    own = data.format
    are_parquet = {path.suffix == ".parquet" for path in paths}
    if own.reader not in ("csv", "parquet") or are_parquet == {own.reader == "parquet"}:
        return _with_columns_that_are_there(paths[0], data) if own.reader == "csv" else own
    if len(are_parquet) > 1:
        raise InputError("input: some files are parquet and some are not; expected files of one kind.")
    if own.reader == "csv":
        return FormatConfig(reader="parquet")
    return FormatConfig(reader="csv", delimiter="\t" if ".tsv" in paths[0].suffixes else ",")


def _with_columns_that_are_there(path: Path, data: DataConfig) -> FormatConfig:
    """Files without header may come without the columns of the labels."""
    own = data.format
    if own.header or own.columns is None:
        return own
    labels = [want.column for want in label_columns(data)]
    others = [column for column in own.columns if column not in labels]
    found = registry.load("data/readers", "csv", "num_cells")(path, own)
    return dataclasses.replace(own, columns=others) if found == len(others) else own


def _check_labels(data: DataConfig):
    key = "data.negatives" if data.negatives is not None else "data.labels.*.later" if later_labels(data) else None
    if key is not None:
        raise InputError(
            f"input: the labels of this data set are not in its rows ({key}). Evaluate a split of the run instead, as "
            "split=test."
        )
