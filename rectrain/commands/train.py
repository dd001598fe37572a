"""rectrain [train]: prepared data, a model, the loop, a report."""

import contextlib
import importlib.metadata
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from rectrain.cluster import Cluster, from_environment
from rectrain.commands.prepare import prepare_and_say
from rectrain.config import ExpectConfig, TrainConfig
from rectrain.console import import_tensorflow, open_log, say, speaks_unicode, terminal_width, wants_color
from rectrain.data.manifest import Prepared
from rectrain.errors import GateError, StoppedError, first_line
from rectrain.run_dir import RunDir, write_whole
from rectrain.same_config import check_same
from rectrain.schema import Schema
from rectrain.sections import train_config
from rectrain.signals import Signals
from rectrain.tasks import from_config

# Of the config: what decides the numbers of a run, so that it can only go on with them as they were.
_FIXED = ("seed", "task", "model", "optimizer", "strategy", "data", "trainer")
_FREE = {"data": ("prepared_dir",), "trainer": ("keep_checkpoints", "save_every_s", "report_splits")}


def run(raw: dict, run_dir: RunDir, config_yaml: str, command: str):
    """One training run, from a composed config to a report.

    Raises:
        InputError: the config, the data or the folder are wrong; a run that had begun reports `status: failed` first.
        GateError: the test metric left the band of `expect`.
        StoppedError: SIGTERM or SIGINT came; a run that had begun reports `status: stopped` first.
    """
    config = train_config(raw)
    if config.strategy.name == "parameter_server":
        cluster = from_environment("parameter_server")
        if not cluster.is_chief:
            return _help(config, raw, cluster)
    run_dir.check_may_begin("trainer", resume=config.resume)
    report = _report_of_done(raw, run_dir) if config.resume else None
    if report is None:
        with Signals() as signals:
            report = _run(config, raw, run_dir, config_yaml, command, signals)
    if config.expect is not None:
        _check_expectation(config.expect, from_config(config.task, Schema.read(run_dir.schema)), report)


def _report_of_done(raw: dict, run_dir: RunDir) -> dict | None:
    """The report of a run that is done, so that nothing is left to do; None where it is not."""
    try:
        report = json.loads(run_dir.report.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # there is none yet
        return None
    if not isinstance(report, dict) or report.get("status") != "done":
        return None
    check_same(_fixed(report["config"]), _fixed(raw), run_dir.path)
    say(f"{run_dir.path} is done already: {run_dir.report.name} is there.")
    return report


def _fixed(raw: dict, **more) -> dict:
    """What decides the numbers of a run, in JSON's types."""
    fixed = {section: raw[section] for section in _FIXED}
    for section, free in _FREE.items():
        fixed[section] = {key: value for key, value in raw[section].items() if key not in free}
    return json.loads(json.dumps({**fixed, **more}))


def _run(config: TrainConfig, raw: dict, run_dir: RunDir, config_yaml: str, command: str, signals: Signals) -> dict:
    started, clock = datetime.now(UTC), time.perf_counter()
    prepared = prepare_and_say(config.data)
    prepare_seconds = time.perf_counter() - clock

    # TensorFlow is loaded here, after everything that can be wrong without it.
    import_tensorflow()
    from rectrain.training.build import build_trainer

    fixed = _fixed(raw, **{"prepared data": prepared.folder.name})  # it names all that the files and the schema are
    tracker = _Tracker(run_dir)
    with _workers(config, raw, prepared) as (strategy, begin_work):
        trainer = build_trainer(
            config, prepared, run_dir, fixed=fixed, signals=signals, on_evaluation=tracker, strategy=strategy
        )
        trainer.begin(started, prepare_seconds, resume=config.resume)
        trainer.workers = begin_work(trainer.steps)
        run_dir.begin(config_yaml, prepared.schema.to_json(), prepared.folder)
        open_log(run_dir.log)
        say(_header(config, prepared, trainer, run_dir))
        if config.resume:
            tracker.go_on(trainer.done.evaluations)
        return _train_and_report(config, raw, command, prepared, trainer, run_dir)


@contextlib.contextmanager
def _workers(config: TrainConfig, raw: dict, prepared: Prepared) -> Iterator[tuple]:
    """The strategy of a parameter-server cluster, and what puts its workers to work; (None, ...) without one.

    At the end the other processes hear of it, whatever it was.
    """
    if config.strategy.name != "parameter_server":
        yield None, lambda steps: None
        return
    from rectrain.training.parameter_server import Workers, connect, end

    cluster, wait_s = from_environment("parameter_server"), float(config.strategy.wait_s or 0)
    strategy = connect(cluster, _hello(raw, prepared), wait_s)
    with contextlib.ExitStack() as stack:
        try:
            yield strategy, lambda steps: stack.enter_context(Workers(cluster, steps, prepared, config.trainer, wait_s))
        except BaseException as error:
            end(cluster, f"{cluster.chief} ended: {first_line(error)}")
            raise
        end(cluster)


def _help(config: TrainConfig, raw: dict, cluster: Cluster):
    """What a worker or a parameter server does."""
    prepared = prepare_and_say(config.data) if cluster.me.job == "worker" else None
    import_tensorflow()
    from rectrain.training.member import Batches, serve_until_the_end

    if prepared is not None:
        Batches(prepared, config).serve()
    serve_until_the_end(cluster, _hello(raw, prepared), float(config.strategy.wait_s or 0))


def _hello(raw: dict, prepared: Prepared | None) -> dict:
    """What all processes of a cluster must have in common; a server reads no data."""
    versions = {name: importlib.metadata.version(name) for name in ("rectrain", "keras")}
    return {**_fixed(raw), **versions, "prepared data": None if prepared is None else prepared.folder.name}


def _train_and_report(config, raw, command, prepared, trainer, run_dir) -> dict:
    """Trains, evaluates and writes the report, whatever happens."""
    from rectrain.evaluation.evaluate import split_curves, split_metrics
    from rectrain.outputs.report import write_report
    from rectrain.outputs.run_report import run_report
    from rectrain.outputs.summary import summary

    metrics: dict[str, dict] = {}
    curves: dict[str, dict] = {}

    def report(status: str, error: str | None = None) -> dict:
        made = {"status": status, "error": error, **run_report(command, raw, prepared, trainer, metrics, curves)}
        write_report(run_dir.path, made)
        return made

    try:
        trainer.run()
        for split in config.trainer.report_splits:
            if prepared.rows(split):
                scored = trainer.score(split)
                metrics[split] = split_metrics(scored, trainer.steps.tasks, config.seed)
                curves[split] = split_curves(scored, trainer.steps.tasks)
    except StoppedError as error:
        stopped = StoppedError(error.number, _so_far(trainer))
        report("stopped", str(stopped))
        raise stopped from None
    except BaseException as error:
        with contextlib.suppress(OSError):  # a full disk is what the first error says
            report("failed", str(error))
        raise
    done = report("done")
    say(summary(done, run_dir.path, width=terminal_width(), color=wants_color(), unicode=speaks_unicode()))
    return done


def _so_far(trainer) -> str:
    """The end of the message of a run that was stopped."""
    step, saved = trainer.done.step, trainer.checkpoints.steps
    if not saved:
        return f" at step {step:,}, before anything was saved."
    return f" at step {step:,}. What was learned up to step {saved[-1]:,} is saved."


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
        "device": describe_device(trainer.steps.strategy),
        "outputs": str(run_dir.path),
    }
    if trainer.done.step:
        lines["resumed"] = f"after step {trainer.done.step:,}"
    return "\n".join(f"{name:9} {text}" for name, text in lines.items())


class _Tracker:
    """Writes each evaluation to metrics.jsonl, to TensorBoard's events and to the terminal."""

    def __init__(self, run_dir: RunDir):
        from rectrain.outputs.events import EventWriter

        self.run_dir = run_dir
        self._events = EventWriter(run_dir.tensorboard)

    def go_on(self, evaluations: list[dict]):
        """Brings what is written to what the run goes on from."""
        lines = "".join(json.dumps(entry, allow_nan=False) + "\n" for entry in evaluations)
        write_whole(self.run_dir.metrics, lines)
        self._events.rewrite(evaluations)

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
