"""rectrain evaluate: a checkpoint of a run on one of its splits, and what it saw in histories."""

from pathlib import Path

from rectrain.config import EvaluateConfig
from rectrain.console import import_tensorflow, say, speaks_unicode, terminal_width, wants_color
from rectrain.errors import InputError
from rectrain.sections import evaluate_config


def run(raw: dict):
    """Scores a split and writes its metrics as JSON and HTML.

    Raises:
        InputError: there is no such run, checkpoint or split, or the result cannot be written where it should.
    """
    config = evaluate_config(raw)
    output = _output(config)
    import_tensorflow()
    from rectrain.outputs.evaluation import evaluation_summary, write_evaluation
    from rectrain.training.restore import restore_run

    restored = restore_run(Path(config.run), config.checkpoint)
    found = _evaluate(config, restored)
    write_evaluation(output, found)
    say(evaluation_summary(found, output, width=terminal_width(), color=wants_color(), unicode=speaks_unicode()))


def _output(config: EvaluateConfig) -> Path:
    if not Path(config.run).is_dir():
        raise InputError(f"run={config.run}: there is no such folder; expected the folder of a run.")
    output = Path(config.output or Path(config.run) / f"evaluation-{config.split}.json")
    if output.suffix != ".json" or not output.parent.is_dir():
        raise InputError(f"output={output}: expected a file that ends with .json in a folder that is there.")
    return output


def _evaluate(config: EvaluateConfig, restored) -> dict:
    from rectrain.evaluation.evaluate import split_curves, split_metrics
    from rectrain.outputs.run_report import machine

    if not restored.prepared.rows(config.split):
        raise InputError(f"split={config.split}: the data of the run have none; see data.split of its config.")
    explained = _explanations(config, restored) if config.explain else []
    scored = restored.score(config.split)
    tasks, seed = restored.steps.tasks, restored.config.seed
    return {
        "status": "done",
        "run": str(Path(config.run).resolve()),
        "checkpoint": restored.step,
        "model": restored.config.model.name,
        "data": {"name": restored.prepared.schema.name, "source": restored.prepared.manifest["source"]},
        "metrics": {config.split: split_metrics(scored, tasks, seed)},
        "curves": {config.split: split_curves(scored, tasks)},
        "explanations": explained,
        **machine(),
    }


def _explanations(config: EvaluateConfig, restored) -> list[dict]:
    from rectrain.evaluation.explain import explainer, explanations, spread_evenly
    from rectrain.training.precision import float32_layers

    explain = explainer(restored.steps.model)
    places = spread_evenly(restored.prepared.rows(config.split), config.explain)
    with float32_layers(explain):
        return explanations(
            restored.steps.score,
            lambda batch: explain({name: batch[name] for name in explain.input}),
            restored.batches(config.split),
            places,
            restored.steps.tasks,
            restored.prepared,
        )
