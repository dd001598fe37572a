"""rectrain online: a stream, a learner, a table that grows, a report."""

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rectrain.commands.prepare import prepare_and_say, say_sample
from rectrain.config import OnlineConfig
from rectrain.console import import_tensorflow, open_log, say, speaks_unicode
from rectrain.data.readers.rows import STANDARD_INPUT
from rectrain.data.sources import find_files
from rectrain.errors import InputError, StoppedError
from rectrain.models.outputs import single_task
from rectrain.online import state as states
from rectrain.online.features import HashedFeatures
from rectrain.online.linear import OPTIMIZERS, LinearLearner
from rectrain.online.loop import Loop
from rectrain.online.quarantine import Quarantine
from rectrain.online.stream import Ahead, Part, PreparedStream, RawStream, file_key
from rectrain.outputs.online_report import online_report, table_head, table_line
from rectrain.outputs.report import write_report
from rectrain.outputs.summary import LABEL_WIDTH
from rectrain.run_dir import RunDir, write_whole
from rectrain.schema import Schema
from rectrain.sections import online_config
from rectrain.signals import Signals
from rectrain.tasks import Task, from_config

_FIXED = ("model", "optimizer", "task", "seed")  # what a state can only be used with
_FIXED_OF_DATA = ("name", "format", "labels", "rows", "weight", "features", "crosses", "cross_buckets")
_FIXED_OF_ONLINE = ("source", "batch_size", "bits", "min_count", "filter_bits")


def run(raw: dict, run_dir: RunDir, config_yaml: str, command: str):
    """Learns from a stream, from a composed config to a report.

    Raises:
        InputError: the config, the data or the folder are wrong.
        StoppedError: SIGTERM or SIGINT came; what was learned is saved.
    """
    config = online_config(raw)
    run_dir.check_may_begin("online", resume=config.resume)
    started = datetime.now(UTC)
    source = _Source(config, run_dir)
    tasks = _tasks(config, source.schema)
    learner = _learner(config, source, tasks)
    signals = Signals()
    loop = Loop(
        config.online,
        learner,
        tasks,
        run_dir.checkpoints,
        _fixed(raw, source),
        on_window=lambda entry: _tell(run_dir, entry, tasks),
        stopped=signals.any,
    )
    if config.resume:
        loop.restore()
    source.open(loop.state)
    run_dir.begin(config_yaml, source.schema.to_json(), source.prepared_folder)
    open_log(run_dir.log)
    _begin(config, run_dir, loop, learner)

    def report(status: str, error: str | None = None):
        facts = {"command": command, "config": raw, "started": started, "status": status, "error": error}
        num_bad = source.num_bad_rows(loop.state, stopped=status == "stopped")
        write_report(run_dir.path, online_report(facts, loop, learner, {**source.facts(), "bad_rows": num_bad}))

    try:
        with signals, signals.held():
            loop.run(Ahead(source.parts(), signals.any))
    except StoppedError as stop:
        report("stopped", str(stop))
        _end(run_dir, loop)
        raise StoppedError(stop.number, f" after {loop.state.rows:,} rows. What was learned is saved.") from None
    except BaseException as error:
        report("failed", str(error))
        raise
    report("done")
    _end(run_dir, loop)


class _Source:
    """Where rows come from; opened once it is known which of them are done."""

    def __init__(self, config: OnlineConfig, run_dir: RunDir):
        self._config, self._run_dir = config, run_dir
        self._prepared = self._sample = None
        self._stream: PreparedStream | RawStream | None = None
        self.schema: Schema
        if config.online.source == "prepared":
            self._prepared = prepare_and_say(config.data)
            self.schema = self._prepared.schema
            return
        found = find_files(config.data, standard_input=True)
        self._sample = None if found.sample is None else dataclasses.asdict(found.sample)
        say_sample(config.data, self._sample)
        self._features = HashedFeatures(config.data, 2**config.online.bits)
        self.schema = self._features.schema()

    def open(self, state: states.OnlineState):
        data = self._config.data
        if self._prepared is not None:
            self._stream = PreparedStream(self._prepared, data, state.done)
            return
        self._quarantine = Quarantine(data.max_bad_rows, self._run_dir.path / "bad_rows.jsonl", state.quarantine)
        self._stream = RawStream(data, self._features, state.done, self._quarantine, self._config.online.watch_s)
        before = state.done.get(file_key(STANDARD_INPUT))
        if STANDARD_INPUT in self._stream.files and before:
            say(f"NOTE: {before:,} rows of standard input were consumed before; all that come now are new.")

    def parts(self) -> Iterator[Part]:
        assert self._stream is not None
        return self._stream.parts()

    @property
    def prepared_folder(self) -> Path | None:
        return None if self._prepared is None else self._prepared.folder

    def num_bad_rows(self, state: states.OnlineState, *, stopped: bool) -> int:
        if self._prepared is not None:
            return 0
        return state.quarantine.get("count", 0) if stopped else self._quarantine.count  # the reader is ahead

    def facts(self) -> dict:
        """For the report."""
        if self._prepared is not None:
            manifest = self._prepared.manifest
            return {"source": manifest["source"], "sample": manifest["sample"]}
        kind = "files" if self._sample is None else "sample"
        return {"source": kind, "sample": self._sample}


def _tasks(config: OnlineConfig, schema: Schema) -> list[Task]:
    tasks = from_config(config.task, schema)
    for task in tasks:
        if task.is_number:
            raise InputError(
                f"task {task.name}: label {task.label!r} is a number; rectrain online learns labels of 0 and 1. Choose "
                "others with task.only."
            )
    return tasks


def _learner(config: OnlineConfig, source: _Source, tasks: list[Task]):
    name, optimizer = config.model.name, config.optimizer.name
    if config.online.batch_size == 1 and name == "lr" and optimizer in OPTIMIZERS:
        single_task(tasks)
        return LinearLearner(config, source.schema, tasks[0])
    if config.online.min_count > 1:
        raise InputError(
            f"online.min_count={config.online.min_count} is for learning row by row: online.batch_size=1 with model=lr "
            f"and optimizer={' or '.join(OPTIMIZERS)}. Set online.min_count=1, or these."
        )
    import_tensorflow()
    from rectrain.online.deep import ModelLearner

    return ModelLearner(config, source.schema, source.prepared_folder)


def _fixed(raw: dict, source: _Source) -> dict:
    """The parts of a composed config that decide what a state means."""
    prepared = source.prepared_folder
    return {
        "prepared data": None if prepared is None else prepared.name,  # whose vocabularies number the values
        **{key: raw[key] for key in _FIXED},
        "data": {key: raw["data"].get(key) for key in _FIXED_OF_DATA},
        "online": {key: raw["online"][key] for key in _FIXED_OF_ONLINE},
    }


def _begin(config: OnlineConfig, run_dir: RunDir, loop: Loop, learner):
    """Says what begins, and brings metrics.jsonl to what was saved."""
    lines = "".join(json.dumps(entry, allow_nan=False) + "\n" for entry in loop.state.windows)
    write_whole(run_dir.metrics, lines)
    total = learner.parameters()["total"]
    how = "row by row" if config.online.batch_size == 1 else f"in windows of {config.online.batch_size:,} rows"
    what = "raw rows, as they come" if config.online.source == "raw" else "prepared rows, in their order"
    facts = {
        "data": f"{config.data.name}: {what}",
        "model": f"{config.model.name}: {total:,} weights, learned {how} by {config.optimizer.name}",
        "device": learner.device,
        "outputs": str(run_dir.path),
    }
    if loop.state.rows:
        facts["resumed"] = f"after {loop.state.rows:,} rows"
    say("\n".join(["", *(f"{name:<{LABEL_WIDTH}}{text}" for name, text in facts.items()), "", table_head()]))


def _tell(run_dir: RunDir, entry: dict, tasks: list[Task]):
    with run_dir.metrics.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, allow_nan=False) + "\n")
    for task in tasks:
        say(table_line(entry, task.name, several=len(tasks) > 1, unicode=speaks_unicode()))


def _end(run_dir: RunDir, loop: Loop):
    rate = f", {loop.rows_of_this_run / loop.seconds:,.0f} rows/s" if loop.seconds else ""
    say(f"\n{loop.rows_of_this_run:,} rows learned from{rate}; {loop.state.rows:,} in all")
    say(f"{'report':<{LABEL_WIDTH}}{run_dir.path / 'report.html'}")
