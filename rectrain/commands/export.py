"""rectrain export: the weights of an online run that are not zero, by feature and value."""

import contextlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from rectrain.config import ExportConfig, OnlineConfig
from rectrain.console import say
from rectrain.data.prepare import prepare
from rectrain.errors import InputError
from rectrain.online import export
from rectrain.online.state import newest
from rectrain.run_dir import RunDir
from rectrain.schema import Schema
from rectrain.sections import export_config, online_config

_BYTES_OF_A_WEIGHT = 4


def run(raw: dict):
    """Writes the file and says what it holds.

    Raises:
        InputError: there is no such run, it is not row by row, or the file cannot be written.
    """
    config = export_config(raw)
    run_dir = RunDir(Path(config.run))
    online = _config(run_dir, config)
    schema = Schema.read(run_dir.schema)
    weights = np.load(_state(run_dir), allow_pickle=False)[:, 0]
    table = export.nonzero_weights(weights, schema, _named(online))
    path = Path(config.output) if config.output is not None else run_dir.path / "export" / "weights.parquet"
    _write(table, path)
    _tell(table, weights, path)


def _config(run_dir: RunDir, config: ExportConfig) -> OnlineConfig:
    try:
        raw = yaml.safe_load(run_dir.config.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"run={run_dir.path}: no run ({error.strerror}: {run_dir.config}).") from error
    if "online" not in raw:
        raise InputError(f"run={run_dir.path} is no run of rectrain online; expected one of model=lr.")
    if config.files is not None:
        raw["data"] |= {"files": config.files, "source": "auto"}
    return online_config(raw)


def _state(run_dir: RunDir) -> Path:
    place = newest(run_dir.checkpoints)
    if place is None:
        raise InputError(f"run={run_dir.path} has saved nothing yet. Expected a run that learned from some rows.")
    if not (place / "state.npy").exists():
        raise InputError(
            f"run={run_dir.path} was learned in windows of rows; expected model=lr learned row by row "
            "(online.batch_size=1), whose weights are exported."
        )
    return place / "state.npy"


def _named(online: OnlineConfig):
    if online.online.source == "prepared":
        return export.named_by_vocabulary(prepare(online.data, say=say))
    if online.data.files in ("-", ["-"]):
        raise InputError(
            "files=null: the run read standard input, which cannot be read again. Name files that hold its values: "
            "files=day1.tsv, or any of them."
        )
    return export.named_by_files(online.data, 2**online.online.bits)


def _write(table: pa.Table, path: Path):
    aside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, aside)
        aside.replace(path)
    except OSError as error:
        raise InputError(f"output={path} cannot be written: {error.strerror or error}. Choose another file.") from error
    finally:
        with contextlib.suppress(OSError):  # what is wrong with the folder is said already
            aside.unlink(missing_ok=True)


def _tell(table: pa.Table, weights: np.ndarray, path: Path):
    size, dense = path.stat().st_size, len(weights) * _BYTES_OF_A_WEIGHT
    nonzero = int(np.count_nonzero(weights))
    unnamed = table["feature"].null_count
    say(f"{path}: {table.num_rows:,} values, {nonzero:,} of {len(weights):,} weights are not 0")
    say(f"{size:,} bytes, {size / dense:.1%} of the {dense:,} of the dense table")
    if unnamed:
        say(f"{unnamed:,} weights have no name: no value of the files has them. Name more files with files=...")
