"""rectrain evaluate: checkpoints of a run on a split of its data or on new files, and what the model makes of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rectrain.config import EvaluateConfig
from rectrain.console import be_quiet, import_tensorflow, say, speaks_unicode, terminal_width, wants_color
from rectrain.errors import InputError, did_you_mean
from rectrain.progress import Progress
from rectrain.run_dir import RunDir
from rectrain.sections import evaluate_config
from rectrain.training.team import Alone, joined

INPUT = "input"  # the name of the split that new files are


def run(raw: dict):
    """Scores rows and writes their metrics as JSON and HTML.

    Raises:
        InputError: there is no such run, checkpoint, split or file, or the result cannot be written where it should.
    """
    config = evaluate_config(raw)
    output = _output(config)
    with joined(config.strategy, {"run": config.run, "split": config.split, "checkpoint": config.checkpoint}) as team:
        if not team.is_chief:
            be_quiet()
        import_tensorflow()
        from rectrain.outputs.evaluation import evaluation_summary, write_evaluation

        found = _evaluate(config, team)
    if found is None:
        return
    write_evaluation(output, found)
    say(evaluation_summary(found, output, width=terminal_width(), color=wants_color(), unicode=speaks_unicode()))


def _output(config: EvaluateConfig) -> Path:
    RunDir(Path(config.run)).check_is_training()
    name = config.split if config.input is None else INPUT
    output = Path(config.output or Path(config.run) / f"evaluation-{name}.json")
    if output.suffix != ".json" or not output.parent.is_dir():
        raise InputError(f"output={output}: expected a file that ends with .json in a folder that is there.")
    return output


@dataclass
class _Rows:
    """The rows that are scored, with the model that scores them."""

    name: str  # of the split
    source: str
    model: Any  # RestoredModel: with TensorFlow
    batches: Callable[[], Iterable[dict]]
    num_rows: int | None  # None: not known before they are read
    team: Alone

    def score(self, seen: Callable[[dict], object] = lambda batch: None):
        """Every row, scored with the present weights; None where another process gets them. seen: is shown a batch."""
        from rectrain.evaluation.evaluate import score_rows

        title = f"evaluate {self.name}"
        with Progress(title, self.num_rows or 0, say, shown=self.num_rows is not None) as progress:
            scored = score_rows(self.model.steps.score, _shown(self.batches(), seen), progress)
        return scored.gathered(self.team.gather_rows)


def _rows_of_split(config: EvaluateConfig, checkpoint: int, team: Alone) -> _Rows:
    from rectrain.data.batches import Readers
    from rectrain.training.restore import ONE, restore_run

    model = restore_run(Path(config.run), checkpoint, ONE if team.num_members > 1 else config.strategy)
    if not model.prepared.rows(config.split):
        raise InputError(f"split={config.split}: the data of the run have none; see data.split of its config.")
    source, num_rows = model.prepared.manifest["source"], model.prepared.rows(config.split)
    here = Readers(team.num_members, range(team.position, team.position + 1))
    return _Rows(config.split, source, model, lambda: model.batches(config.split, here), num_rows, team)


def _rows_of_files(config: EvaluateConfig, checkpoint: int, team: Alone) -> _Rows:
    from rectrain.training.restore import restore_model

    assert config.input is not None
    model = restore_model(Path(config.run), checkpoint, config.strategy)
    rows, size = model.new_rows(config.input, labelled=True), model.config.trainer.eval_batch_size

    def batches():
        for _, packed in rows.blocks(f"evaluate {INPUT}", model.run_dir.path):
            for start in range(0, len(packed["labels"]), size):
                yield {name: column[start : start + size] for name, column in packed.items()}

    return _Rows(INPUT, "files", model, batches, None, team)


def _shown(batches: Iterable[dict], seen) -> Iterator[dict]:
    for batch in batches:
        seen(batch)
        yield batch


def _evaluate(config: EvaluateConfig, team: Alone) -> dict | None:
    from rectrain.evaluation.evaluate import split_curves, split_metrics
    from rectrain.outputs.run_report import machine
    from rectrain.training.restore import checkpoint_steps
    from rectrain.training.strategy import describe_device

    named = config.checkpoint if isinstance(config.checkpoint, list) else [config.checkpoint]
    checkpoint, *others = checkpoint_steps(RunDir(Path(config.run)), named)
    rows = (_rows_of_split if config.input is None else _rows_of_files)(config, checkpoint, team)
    model, name = rows.model, rows.name
    tasks, seed = model.steps.tasks, model.config.seed
    columns = _columns(config.evaluate.by, model.schema)
    ids: list[np.ndarray] = []
    scored = rows.score(lambda batch: ids.append(np.asarray(batch["categorical"])[:, columns]) if columns else None)
    if scored is None:  # it has gone to the chief, and so does what follows
        for step in others:
            _metrics_at(rows, step)
        return None
    first = split_metrics(scored, tasks, seed)
    found = {
        "status": "done",
        "run": str(Path(config.run).resolve()),
        "checkpoint": model.step,
        "model": model.config.model.name,
        "data": {"name": model.schema.name, "source": rows.source},
        "metrics": {name: first},
        "curves": {name: split_curves(scored, tasks)},
        "slices": _slices(config.evaluate.by, model, scored, ids),
        "importance": _importance(config, rows, len(scored.labels)),
        "explanations": _explanations(config, rows, len(scored.labels)),
        "device": describe_device(model.steps.strategy),
        **machine(),
    }
    compared = [{"step": step, "metrics": _metrics_at(rows, step)} for step in others]
    return found | {"checkpoints": [{"step": checkpoint, "metrics": first}, *compared]}


def _metrics_at(rows: _Rows, step: int) -> dict:
    from rectrain.evaluation.evaluate import split_metrics

    rows.model = rows.model.at(step)
    scored = rows.score()
    return {} if scored is None else split_metrics(scored, rows.model.steps.tasks, rows.model.config.seed)


def _columns(by: list[str], schema) -> list[int]:
    names = [feature.name for feature in schema.categorical]
    for feature in by:
        if feature not in names:
            raise InputError(
                f"evaluate.by: {feature!r} is no categorical feature of the run.{did_you_mean(feature, names)}"
            )
    return [names.index(feature) for feature in by]


def _slices(by: list[str], model, scored, ids: list[np.ndarray]) -> dict:
    """{feature: {task: what slice_metrics says}}."""
    from rectrain.data.texts import Texts
    from rectrain.evaluation.slices import slice_metrics

    if not by:
        return {}
    texts = Texts(model.schema, model.run_dir.path)
    columns = np.concatenate(ids).T
    return {
        feature: {task.name: slice_metrics(scored, task, values, texts.of) for task in model.steps.tasks}
        for feature, values in zip(by, columns, strict=True)
    }


def _importance(config: EvaluateConfig, rows: _Rows, num_rows: int) -> list[dict]:
    from rectrain.evaluation.importance import MOST_ROWS, importance, joined

    repeats, model = config.evaluate.importance, rows.model
    if not repeats:
        return []
    batch = joined(rows.batches(), MOST_ROWS, num_rows)
    seen = {name: batch[name] for name in (*model.steps.model.input, "labels")}
    return importance(
        model.score_rows, seen, model.steps.tasks, model.schema, repeats=repeats, seed=model.config.seed, say=say
    )


def _explanations(config: EvaluateConfig, rows: _Rows, num_rows: int) -> list[dict]:
    from rectrain.evaluation.explain import spread_evenly

    if not config.explain:
        return []
    return rows.model.explain(rows.batches(), spread_evenly(num_rows, config.explain))
