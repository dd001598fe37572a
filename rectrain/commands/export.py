"""rectrain export: a run's model as a SavedModel of raw columns; of model=lr also its weights that are not zero."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rectrain.config import ExportConfig, OnlineConfig
from rectrain.console import import_tensorflow, say
from rectrain.errors import InputError
from rectrain.plain_files import read_yaml
from rectrain.run_dir import RunDir
from rectrain.sections import export_config, online_config

_BYTES_OF_A_WEIGHT = 4


def run(raw: dict):
    """Writes the files and says what they hold.

    Raises:
        InputError: there is no such run or checkpoint, or the files cannot be written.
    """
    config = export_config(raw)
    run_dir = RunDir(Path(config.run))
    folder = Path(config.output) if config.output is not None else run_dir.path / "export"
    online = _online(run_dir, config)
    import_tensorflow()
    from rectrain.export.exportable import of_online_run, of_train_run

    with tempfile.TemporaryDirectory() as scratch:
        if online is None:
            found = of_train_run(run_dir.path, config.checkpoint, Path(scratch))
        else:
            found = of_online_run(run_dir, online, Path(scratch))
        for form in config.export.formats:
            _write(form, found, folder)
    for feature in config.export.embeddings:
        _write_embeddings(feature, found, run_dir.path, folder)
    if found.weights is not None:
        _write_weights(config, found, online, folder)


def _write(form: str, found, folder: Path):
    from rectrain.export import keras_file, onnx_file, saved_model

    if form == "saved_model":
        model = saved_model.write_saved_model(folder, found.raw, found.score, found.state)
        say(f"{model}: {_size(model):,} bytes; inputs {', '.join(found.raw.columns.signature)}")
        return
    steps = _steps(found, f"export.formats=[{form}]")
    path = folder / f"model.{form}"
    write = keras_file.write if form == "keras" else onnx_file.write
    saved_model.write_whole_file(path, lambda aside: write(steps, aside))
    say(f"{path}: {path.stat().st_size:,} bytes; inputs {', '.join(steps.model.input)}")


def _write_embeddings(feature: str, found, run: Path, folder: Path):
    from rectrain.data.vocab import file_name
    from rectrain.export.embeddings import vectors
    from rectrain.export.saved_model import write_whole_file

    table = vectors(_steps(found, f"export.embeddings=[{feature}]").model, found.schema, feature, run)
    path = folder / "embeddings" / f"{file_name(feature)}.parquet"
    write_whole_file(path, lambda aside: pq.write_table(table, aside))
    say(f"{path}: {table.num_rows:,} values")


def _steps(found, key: str):
    if found.steps is None:
        raise InputError(f"{key}: model=lr learned row by row has weights and no more; they are in weights.parquet.")
    return found.steps


def _online(run_dir: RunDir, config: ExportConfig) -> OnlineConfig | None:
    """The config of a run of rectrain online; None where it is one of rectrain train."""
    run_dir.check_is_run()
    try:
        raw = read_yaml(run_dir.config)
    except (OSError, ValueError) as error:
        raise InputError(f"{run_dir.config} is damaged ({error}); expected the config of a run.") from error
    if not isinstance(raw, dict) or "online" not in raw:
        if config.files is not None:
            raise InputError(f"files={config.files}: the values of {run_dir.path} are known. Set files=null.")
        return None
    if config.checkpoint != "best":
        raise InputError(
            f"checkpoint={config.checkpoint}: an online run keeps its newest state alone. Leave the key out."
        )
    if config.files is not None:
        raw["data"] |= {"files": config.files, "source": "auto"}
    return online_config(raw)


def _write_weights(config: ExportConfig, found, online: OnlineConfig | None, folder: Path):
    from rectrain.export.saved_model import write_whole_file
    from rectrain.online.export import nonzero_weights

    named = _named(config, found, online)
    if named is None:
        say("weights.parquet is left out: the run read standard input. Name files of its values with files=day1.tsv.")
        return
    table = nonzero_weights(found.weights, found.schema, named)
    path = folder / "weights.parquet"
    write_whole_file(path, lambda aside: pq.write_table(table, aside))
    _tell(table, found.weights, path)


def _named(config: ExportConfig, found, online: OnlineConfig | None):
    """Where the names of values come from; None: nowhere."""
    from rectrain.online import export

    if online is None or online.online.source == "prepared":
        return export.named_by_vocabulary(found.schema, Path(config.run))
    if online.data.files in ("-", ["-"]):
        return None
    return export.named_by_files(online.data, 2**online.online.bits)


def _tell(table: pa.Table, weights: np.ndarray, path: Path):
    size, dense = path.stat().st_size, len(weights) * _BYTES_OF_A_WEIGHT
    nonzero = int(np.count_nonzero(weights))
    unnamed = table["feature"].null_count
    say(f"{path}: {table.num_rows:,} values, {nonzero:,} of {len(weights):,} weights are not 0")
    say(f"{size:,} bytes, {size / dense:.1%} of the {dense:,} of the dense table")
    if unnamed:
        say(f"{unnamed:,} weights have no name: no value of the files has them. Name more files with files=...")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
