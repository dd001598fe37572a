"""rectrain [train]: prepared data, a model, the loop, a report."""

import contextlib
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from rectrain.commands import parameter_server
from rectrain.commands.prepare import prepare_and_say
from rectrain.config import ExpectConfig, TrainConfig
from rectrain.console import be_quiet, import_tensorflow, open_log, say, speaks_unicode, terminal_width, wants_color
from rectrain.data.manifest import Prepared
from rectrain.errors import GateError, InputError, StoppedError
from rectrain.memory import forget_peak
from rectrain.outputs.mlflow_run import import_mlflow
from rectrain.run_dir import RunDir
from rectrain.same_config import check_same, deciding, difference, word
from rectrain.schema import Schema
from rectrain.search.pruning import PRUNED
from rectrain.sections import train_config
from rectrain.signals import Signals
from rectrain.tasks import from_config
from rectrain.training.team import Alone, joined


def run(raw: dict, run_dir: RunDir, config_yaml: str, command: str, swept: dict):
    """One training run, from a composed config to a report.

    Args:
        swept: {key: value} that sets the run apart in a sweep; empty outside of one.
    Raises:
        InputError: the config, the data or the folder are wrong; a run that had begun reports `status: failed` first.
        GateError: the test metric left the band of `expect`.
        StoppedError: SIGTERM or SIGINT came; a run that had begun reports `status: stopped` first.
    """
    config = train_config(raw)
    hello = {**deciding(raw), "resume": config.resume}
    if parameter_server.is_helper(config):
        parameter_server.serve(config, hello)
        return
    with Signals() as signals, joined(config.strategy, hello) as team:
        if team.is_chief:
            report = _lead(config, raw, run_dir, config_yaml, command, swept, signals, team)
        else:
            _follow(config, raw, config_yaml, command, signals, team)
            return
    if config.expect is not None and report["status"] == "done":
        _check_expectation(config.expect, from_config(config.task, Schema.read(run_dir.schema)), report)


def _lead(config, raw, run_dir: RunDir, config_yaml, command, swept, signals, team) -> dict:
    """The run as its chief: the only process that writes."""
    run_dir.check_may_begin("trainer", resume=config.resume)
    report = _report_of_done(raw, run_dir) if config.resume else None
    team.share({"folder": str(run_dir.path.resolve()), "done": report is not None})
    return report or _run(config, raw, run_dir, run_dir.checkpoints, config_yaml, command, swept, signals, team)


def _follow(config, raw, config_yaml, command, signals, team):
    """The same as another process: it reads the chief's checkpoints, and what it writes is thrown away."""
    told = team.share(None)
    if told["done"]:
        return
    say(f"{team.cluster.me} trains along; {team.cluster.chief}, the chief, says how it goes")
    be_quiet()
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = RunDir(Path(told["folder"])).checkpoints
        _run(config, raw, RunDir(Path(folder)), checkpoints, config_yaml, command, {}, signals, team)


def _report_of_done(raw: dict, run_dir: RunDir) -> dict | None:
    """The report of a run that is done, so that nothing is left to do; None where it is not."""
    try:
        report = json.loads(run_dir.report.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # there is none yet
        return None
    if not isinstance(report, dict) or report.get("status") != "done":
        return None
    check_same(deciding(report["config"]), deciding(raw), run_dir.path)
    say(f"{run_dir.path} is done already: {run_dir.report.name} is there.")
    return report


def _run(
    config: TrainConfig, raw, run_dir: RunDir, checkpoints: Path, config_yaml, command, swept, signals, team
) -> dict:
    forget_peak()
    if team.is_chief and config.tracker.name != "none":
        import_mlflow()  # where it is missing nothing is prepared first
    started, clock = datetime.now(UTC), time.perf_counter()
    with parameter_server.presence(config) as stack:  # of the chief, which others wait for
        prepared = prepare_and_say(config.data)
        prepare_seconds = time.perf_counter() - clock

        # TensorFlow is loaded here, after everything that can be wrong without it.
        import_tensorflow()
        presence = stack.pop_all()
    from rectrain.outputs.tracking import Tracker
    from rectrain.training.build import build_trainer
    from rectrain.training.trainer import readers_of

    _check_alike(team, prepared)
    fixed = {**deciding(raw), "prepared data": prepared.folder.name}  # it names all that the files and the schema are
    fixed["trainer"]["readers"] = readers_of(config.trainer, team).number
    tracker = Tracker(run_dir, config, swept, team)
    hello = {**deciding(raw), "resume": config.resume}
    with parameter_server.connected(config, prepared, hello, presence) as (strategy, workers_for):
        with team.naming_the_lost():
            trainer = build_trainer(
                config,
                prepared,
                checkpoints,
                team=team,
                fixed=fixed,
                signals=signals,
                on_evaluation=tracker,
                strategy=strategy,
            )
            trainer.begin(started, prepare_seconds, resume=config.resume)
            trainer.workers = workers_for(trainer.steps)
        run_dir.begin(config_yaml, prepared.schema.to_json(), prepared.folder)
        open_log(run_dir.log)
        say(_header(config, prepared, trainer, run_dir))
        trainer.end_because(tracker.begin(raw, trainer.done.evaluations))
        return _train_and_report(config, raw, command, prepared, trainer, tracker, run_dir)


def _check_alike(team: Alone, prepared: Prepared):
    """Raises InputError where this process has other data than the chief, or another TensorFlow."""
    import tensorflow as tf

    mine = {"tensorflow": tf.__version__, "prepared data": prepared.manifest["key"]}
    found = difference(mine, team.share(mine))
    if found is not None:
        key, here, there = found
        raise InputError(
            f"{key}: {word(here)} here, {word(there)} at the chief. All processes need one version, and raw files that "
            "are the same to the time of their last change, as in a folder that all see."
        )


def _train_and_report(config, raw, command, prepared, trainer, tracker, run_dir) -> dict:
    """Trains, evaluates and writes the report, whatever happens."""
    from rectrain.evaluation.evaluate import split_curves, split_metrics
    from rectrain.evaluation.kept_scores import write_scores
    from rectrain.outputs.report import write_report
    from rectrain.outputs.run_report import run_report
    from rectrain.outputs.summary import summary

    metrics: dict[str, dict] = {}
    curves: dict[str, dict] = {}

    def report(status: str, error: str | None = None) -> dict:
        made = {"status": status, "error": error, **run_report(command, raw, prepared, trainer, metrics, curves)}
        write_report(run_dir.path, made)
        tracker.end(made)
        return made

    try:
        trainer.run()
        if trainer.done.stopped_because.startswith(PRUNED):
            say(trainer.done.stopped_because)
            return report("stopped", trainer.done.stopped_because)
        for split in config.trainer.report_splits:
            if prepared.rows(split):
                scored = trainer.score(split)
                if scored is not None:
                    metrics[split] = split_metrics(scored, trainer.steps.tasks, config.seed)
                    curves[split] = split_curves(scored, trainer.steps.tasks)
                    write_scores(run_dir.scores(split), scored, list(prepared.schema.labels))
    except StoppedError as error:
        stopped = StoppedError(error.number, _so_far(trainer))
        report("stopped", str(stopped))
        raise stopped from None
    except BaseException as error:
        with contextlib.suppress(OSError):  # a full disk is what the first error says
            report("failed", str(error))
        raise
    done = report("done")
    if not trainer.team.is_chief:
        return done
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
    from rectrain.outputs.summary import LABEL_WIDTH
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
    return "\n".join(["", *(f"{name:<{LABEL_WIDTH}}{text}" for name, text in lines.items())])


def _check_expectation(expect: ExpectConfig, tasks: list, report: dict):
    from rectrain.training.monitor import Monitor

    value = Monitor(expect.metric, tasks, "expect.metric").value(report["metrics"]["test"], "test")
    if abs(value - expect.value) > expect.tolerance:
        raise GateError(
            f"test {expect.metric} is {value:.4f}, outside of expect.value {expect.value:g} +- {expect.tolerance:g}."
        )
    say(f"test {expect.metric} {value:.4f} lies within {expect.value:g} +- {expect.tolerance:g}")
