"""rectrain predict: raw rows -> scores of a trained model, row by row in their order."""

import tempfile
import time
from pathlib import Path

import pyarrow as pa

from rectrain.config import PredictConfig
from rectrain.console import be_quiet, import_tensorflow, say
from rectrain.data.blocks import Block
from rectrain.data.row_groups import Rows
from rectrain.errors import InputError
from rectrain.outputs.predictions import PredictionFile, write_explanations
from rectrain.run_dir import RunDir
from rectrain.sections import predict_config
from rectrain.training.team import Alone, joined


def run(raw: dict):
    """Scores files and writes one; of several processes each scores a share of the rows, and the chief writes.

    Raises:
        InputError: there is no such run, checkpoint, file or column, a row is wrong, or the result cannot be written;
            then `output` is as it was.
    """
    config = predict_config(raw)
    RunDir(Path(config.run)).check_is_training()
    alike = {"run": config.run, "checkpoint": config.checkpoint, "input": config.input, "predict": raw["predict"]}
    with joined(config.strategy, alike) as team:
        if team.is_chief:
            _lead(config, team)
        else:
            be_quiet()
            _follow(config, team)


def _lead(config: PredictConfig, team: Alone):
    with PredictionFile(Path(config.output)) as file:
        model = _model(config, team)
        explained: list[dict] = []
        rows = model.new_rows(config.input, keep=config.predict.keep)
        file.check_is_none_of(rows.paths)
        names = _names(config, [task.name for task in model.steps.tasks])
        started = time.monotonic()
        for block, packed in rows.blocks("predict", file.folder):
            scores = _scores(model, packed, team)
            assert scores is not None
            file.write(_table(block, config.predict.keep, names, scores))
            explained += _explain(model, packed, len(explained), config.predict.explain)
    seconds = time.monotonic() - started
    say(f"{file.path}: {file.num_rows:,} rows, {', '.join(names.values())} by step {model.step:,} of {config.run}")
    say(f"{seconds:.1f} s, {file.num_rows / seconds:,.0f} rows/s")
    if config.predict.explain:
        page = file.path.with_suffix(".html")
        write_explanations(page, model.config.model.name, model.schema.name, explained)
        say(f"{page}: {len(explained)} rows explained")


def _follow(config: PredictConfig, team: Alone):
    """As another process than the chief: it reads the same files, and scores its share of each block."""
    model = _model(config, team)
    rows = model.new_rows(config.input, keep=config.predict.keep)
    with tempfile.TemporaryDirectory() as folder:
        for _, packed in rows.blocks("predict", Path(folder)):
            _scores(model, packed, team)


def _model(config: PredictConfig, team: Alone):
    import_tensorflow()
    from rectrain.training.restore import ONE, restore_model

    return restore_model(Path(config.run), config.checkpoint, ONE if team.num_members > 1 else config.strategy)


def _scores(model, packed: Rows, team: Alone) -> dict | None:
    """{task: float32 (N,)} of all rows in the chief; None in the others."""
    num_rows = len(next(iter(packed.values())))
    start, stop = (num_rows * place // team.num_members for place in (team.position, team.position + 1))
    return team.gather_rows(model.score_rows({name: column[start:stop] for name, column in packed.items()}))


def _explain(model, packed: dict, done: int, wanted: int) -> list[dict]:
    """What the model saw in the histories of the first of these rows, as many as are still wanted."""
    count = min(wanted - done, len(next(iter(packed.values()))))
    if count <= 0:
        return []
    first = {name: column[:count] for name, column in packed.items()}
    return model.explain([first], list(range(count)), first_row=done)


def _names(config: PredictConfig, tasks: list[str]) -> dict[str, str]:
    """The column of each task."""
    names = {task: f"score_{task}" for task in tasks}
    for column in config.predict.keep:
        if column in names.values() or config.predict.keep.count(column) > 1:
            raise InputError(f"predict.keep: there would be two columns {column!r}. Name each once, and no score.")
    return names


def _table(block: Block, keep: list[str], names: dict[str, str], scores: dict) -> pa.Table:
    columns = {column: block.columns[column] for column in keep}
    return pa.table(columns | {names[task]: values for task, values in scores.items()})
