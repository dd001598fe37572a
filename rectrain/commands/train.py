"""rectrain [train]: prepared data, a model, the loop, a report."""

import contextlib
import json
import time
from datetime import UTC, datetime

from rectrain.commands.prepare import prepare_and_say
from rectrain.config import ExpectConfig, TrainConfig
from rectrain.console import import_tensorflow, open_log, say, speaks_unicode, terminal_width, wants_color
from rectrain.data.manifest import Prepared
from rectrain.errors import GateError
from rectrain.run_dir import RunDir
from rectrain.sections import train_config


def run(raw: dict, run_dir: RunDir, config_yaml: str, command: str):
    """One training run, from a composed config to a report.

    Raises:
        InputError: the config, the data or the folder are wrong; a run that had begun reports `status: failed` first.
        GateError: the test metric left the band of `expect`.
    """
    config = train_config(raw)
    run_dir.check_is_new()
    started, clock = datetime.now(UTC), time.perf_counter()
    prepared = prepare_and_say(config.data)
    prepare_seconds = time.perf_counter() - clock

    # TensorFlow is loaded here, after everything that can be wrong without it.
    import_tensorflow()
    from rectrain.outputs.run_report import Begun
    from rectrain.training.build import build_trainer

    begun = Begun(command, raw, started, prepare_seconds)
    trainer = build_trainer(config, prepared, run_dir, on_evaluation=_Tracker(run_dir))
    run_dir.begin(config_yaml, prepared.schema.to_json(), prepared.folder)
    open_log(run_dir.log)
    say(_header(config, prepared, trainer, run_dir))
    report = _train_and_report(config, begun, prepared, trainer, run_dir)
    if config.expect is not None:
        _check_expectation(config.expect, trainer.steps.tasks, report)


def _train_and_report(config, begun, prepared, trainer, run_dir) -> dict:
    """Trains, evaluates and writes the report, whatever happens."""
    from rectrain.evaluation.evaluate import split_curves, split_metrics
    from rectrain.outputs.report import write_report
    from rectrain.outputs.run_report import run_report
    from rectrain.outputs.summary import summary

    metrics: dict[str, dict] = {}
    curves: dict[str, dict] = {}

    def report(status: str, error: str | None = None) -> dict:
        made = {"status": status, "error": error, **run_report(begun, prepared, trainer, metrics, curves)}
        write_report(run_dir.path, made)
        return made

    try:
        trainer.run()
        for split in config.trainer.report_splits:
            if prepared.rows(split):
                scored = trainer.score(split)
                metrics[split] = split_metrics(scored, trainer.steps.tasks, config.seed)
                curves[split] = split_curves(scored, trainer.steps.tasks)
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        with contextlib.suppress(OSError):  # a full disk is what the first error says
            report("stopped" if stopped else "failed", "interrupted" if stopped else str(error))
        raise
    done = report("done")
    say(summary(done, run_dir.path, width=terminal_width(), color=wants_color(), unicode=speaks_unicode()))
    return done


def _header(config: TrainConfig, prepared: Prepared, trainer, run_dir: RunDir) -> str:
    from rectrain.outputs.run_report import count_parameters
    from rectrain.training.strategy import describe_device

    rows = " + ".join(f"{n:,} {split}" for split, n in prepared.manifest["rows"].items())
    parameters = count_parameters(trainer.steps.model)
    lines = {
        "data": f"{config.data.name}: {rows} rows",
        "model": f"{config.model.name}: {parameters['total']:,} parameters, {parameters['embedding']:,} in tables",
        "training": f"at most {trainer.total_steps:,} steps of {config.trainer.batch_size:,} rows, "
        f"{trainer.steps_per_epoch:,} an epoch, {config.trainer.precision}",
        "device": describe_device(),
        "outputs": str(run_dir.path),
    }
    return "\n".join(f"{name:9} {text}" for name, text in lines.items())


class _Tracker:
    """Writes each evaluation to metrics.jsonl, to TensorBoard's events and to the terminal."""

    def __init__(self, run_dir: RunDir):
        from rectrain.outputs.events import EventWriter

        self.run_dir = run_dir
        self._events = EventWriter(run_dir.tensorboard)

    def __call__(self, entry: dict):
        with self.run_dir.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, allow_nan=False) + "\n")
        self._events.write(entry)
        parts = [f"step {entry['step']:,}", f"epoch {entry['epoch']:.2f}", f"loss {entry['train_loss']:.5g}"]
        parts += [f"valid {task} {_figures(metrics)}" for task, metrics in entry["valid"].items()]
        say("  ".join(parts))


def _figures(metrics: dict) -> str:
    shown = {name: metrics.get(name.lower()) for name in ("AUC", "logloss", "MSE", "R2")}
    return "  ".join(f"{name} {value:.4f}" for name, value in shown.items() if value is not None)


def _check_expectation(expect: ExpectConfig, tasks: list, report: dict):
    from rectrain.training.monitor import Monitor

    value = Monitor(expect.metric, tasks, "expect.metric").value(report["metrics"]["test"], "test")
    if abs(value - expect.value) > expect.tolerance:
        raise GateError(
            f"test {expect.metric} is {value:.4f}, outside of expect.value {expect.value:g} +- {expect.tolerance:g}."
        )
    say(f"test {expect.metric} {value:.4f} lies within {expect.value:g} +- {expect.tolerance:g}")
