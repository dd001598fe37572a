"""A file of scores, written block by block: whole or absent."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from rectrain.errors import CANNOT_WRITE, InputError
from rectrain.outputs.explanations import explanations_section
from rectrain.outputs.html import header, render_html
from rectrain.run_dir import write_whole

_DELIMITERS = {".csv": ",", ".tsv": "\t"}


class PredictionFile:
    """A context that leaves `path` whole, or as it was where an error ends it.

    Raises:
        InputError: the file has none of the known suffixes, or cannot be written.
    """

    def __init__(self, path: Path):
        self.path = path
        self.folder = path.parent
        self.num_rows = 0
        self._aside = path.with_name(f".{path.name}.part")
        self._writer: pq.ParquetWriter | pa.csv.CSVWriter | None = None
        if path.suffix not in (".parquet", *_DELIMITERS):
            raise InputError(f"output={path}: expected a file that ends with .parquet, .csv or .tsv.")
        if not path.parent.is_dir() or path.is_dir():
            raise InputError(f"output={path}: expected a file in a folder that is there.")

    def check_is_none_of(self, inputs: Iterable[Path]):
        """Raises InputError where the file would replace one that is read."""
        if any(os.path.realpath(path) == os.path.realpath(self.path) for path in inputs):
            raise InputError(f"output={self.path} is one of the files of input. Name another file.")

    def __enter__(self):
        return self

    def write(self, table: pa.Table):
        """Rows, all with the columns of the first ones."""
        with self._explained():
            if self._writer is None:
                self._writer = self._open(table.schema)
            self._writer.write_table(table)
        self.num_rows += table.num_rows

    def __exit__(self, kind, *_):
        try:
            with self._explained():
                if self._writer is not None:
                    self._writer.close()
                if kind is None:
                    self._aside.replace(self.path)
        finally:
            with contextlib.suppress(OSError):
                self._aside.unlink(missing_ok=True)

    def _open(self, schema: pa.Schema):
        if self.path.suffix == ".parquet":
            return pq.ParquetWriter(self._aside, schema)
        options = pa.csv.WriteOptions(delimiter=_DELIMITERS[self.path.suffix], quoting_style="needed")
        return pa.csv.CSVWriter(str(self._aside), schema, write_options=options)

    @contextlib.contextmanager
    def _explained(self):
        try:
            yield
        except OSError as error:
            why = CANNOT_WRITE.get(error.errno or 0, str(error))
            raise InputError(f"output={self.path} cannot be written: {why}. Name another file.") from error


def write_explanations(path: Path, model: str, data: str, rows: list[dict]):
    """A page of what a model saw in histories.

    Raises:
        InputError: it cannot be written.
    """
    report = {"status": "done", "model": model, "data": {"name": data, "source": "files"}, "explanations": rows}
    try:
        write_whole(path, render_html(report, (header, explanations_section)))
    except OSError as error:
        why = CANNOT_WRITE.get(error.errno or 0, str(error))
        raise InputError(f"output={path} cannot be written: {why}. Name another file.") from error
