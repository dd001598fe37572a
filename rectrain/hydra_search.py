"""Hydra's sweeper of ours: a search proposes the jobs, by what those before them came to."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf

from rectrain.console import say
from rectrain.errors import InputError
from rectrain.launchers import replaced
from rectrain.run_dir import RunDir, write_whole
from rectrain.same_config import deciding
from rectrain.sections import search_config, train_config

SUMMARY = "search.json"


def known() -> contextlib.AbstractContextManager:
    """Within it Hydra makes the sweeper that hydra/sweeper=search names; of itself it makes those of plugins alone."""
    make = Plugins.instantiate_sweeper

    def make_ours(self, **given):
        if given["config"].hydra.sweeper.get("_target_") != f"{Search.__module__}.{Search.__name__}":
            return make(self, **given)
        sweeper = Search()
        sweeper.setup(**given)
        return sweeper

    return replaced(Plugins, "instantiate_sweeper", make_ours)


class Search(Sweeper):
    """Asks a study for trials, launches their runs, and tells it the best validation metric of each."""

    hydra_context: Any
    config: Any
    launcher: Any

    def setup(self, *, hydra_context, task_function, config):
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]):
        from rectrain.search.space import parse_space
        from rectrain.search.study import Search as Study

        section = _resolved(self.config)["sweep"]
        self.search = search_config(section)
        self.space = parse_space(self.search.space)
        self.words = self._words_of_all(arguments)
        raw = self._composed([])
        self._check_space(raw)
        self.seed, self.folder = raw["seed"], Path(self.config.hydra.sweep.dir)
        self.study = Study(
            self.search,
            self.space,
            self.folder,
            maximize=_is_maximized(raw["trainer"]["monitor"]),
            fixed=_fixed(section, raw),
            resume=raw["resume"],
        )
        self._run_all()

    def _words_of_all(self, arguments: list[str]) -> list[str]:
        """The words of the command line that are of every job: not those of the search itself.

        Raises:
            InputError: a key is given and searched, or is swept by a list.
        """
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        words = []
        for override in parser.parse_overrides(arguments):
            key = override.key_or_group
            if override.is_sweep_override():
                raise InputError(f"{override.input_line}: sweep=NAME chooses values. Put the key into sweep.space.")
            if key in self.space:
                raise InputError(f"{override.input_line}: sweep.space searches {key}. Take it out of one of them.")
            if key.partition(".")[0] != "sweep":
                words.append(str(override.input_line))
        return words

    def _composed(self, words: Sequence[str]) -> dict:
        """The config of a job with these words, checked."""
        config = self.hydra_context.config_loader.load_sweep_config(self.config, [*self.words, *words])
        raw = _resolved(config)
        if train_config(raw).strategy.name in ("multi_worker", "parameter_server"):
            raise InputError(
                f"strategy={raw['strategy']['name']} is of several processes, each of which would search on its own. "
                "Search with strategy=auto, and train what is found with more."
            )
        return raw

    def _check_space(self, raw: dict):
        """Whether a run takes each key at both ends, or with each choice, of its range.

        Raises:
            InputError: names the key.
        """
        if not raw["data"]["split"]["valid"] and raw["data"]["split"]["by"] != "files":
            raise InputError("data.split.valid=0: a search needs a validation split, on which trials are judged.")
        groups = {key: knob.ends()[0] for key, knob in self.space.items() if self._is_group(key)}
        for key, knob in self.space.items():
            for value in knob.ends():
                try:
                    self._composed(self._words_of({**groups, key: value}))
                except (InputError, HydraException) as error:
                    raise InputError(f"sweep.space.{key}: {_said(error)}") from error

    def _is_group(self, key: str) -> bool:
        from rectrain.search.space import Choices

        options = self.hydra_context.config_loader.get_group_options(key)
        return bool(options) and isinstance(self.space[key], Choices)

    def _words_of(self, values: dict) -> list[str]:
        from rectrain.search.space import word

        return [word(key, value, is_group=self._is_group(key)) for key, value in values.items()]

    def _run_all(self):
        while trials := self.study.ask():
            for trial, reports in self._run(trials):
                self._tell(trial, reports)
            self._write_summary()
        best = self._write_summary()
        if best is not None:
            folder = self.folder / str(best["runs"][0])
            say(f"best of {self.search.trials}: trial {best['trial']}, {best['value']:.4f}, {_shown(best['values'])}")
            say(f"as a run: {folder}; once more: rectrain rerun={folder / 'report.json'}")

    def _run(self, trials: list) -> list[tuple]:
        """Runs each trial with its seeds: those of one seed side by side, where the launcher can do that."""
        reports: dict[int, list[dict]] = {trial.slot: [] for trial in trials}
        for number in range(self.search.seeds):
            going_on = [trial for trial in trials if all(r["status"] == "done" for r in reports[trial.slot])]
            for trial, report in zip(going_on, self._launch(going_on, number), strict=True):
                reports[trial.slot].append(report)
        return [(trial, reports[trial.slot]) for trial in trials]

    def _launch(self, trials: list, number: int) -> list[dict]:
        """The reports of one run of each trial, that of one seed."""
        folders = [self._folder_of(trial.slot, number) for trial in trials]
        for trial, folder in zip(trials, folders, strict=True):
            self._note_trial(trial, folder, number)
        if trials:
            jobs = [self._job(trial, folder, number) for trial, folder in zip(trials, folders, strict=True)]
            self.launcher.launch(jobs, initial_job_idx=int(folders[0].name))
        return [_report(folder) for folder in folders]

    def _folder_of(self, slot: int, number: int) -> Path:
        return self.folder / str(slot * self.search.seeds + number)

    def _job(self, trial, folder: Path, number: int) -> list[str]:
        seeds = [f"seed={self.seed + number}"] if self.search.seeds > 1 else []
        return [*self.words, *self._words_of(trial.values), *seeds, f"hydra.sweep.subdir={folder.name}"]

    def _note_trial(self, trial, folder: Path, number: int):
        """What a run must know of the trial that it belongs to; the first of several seeds stands for all."""
        from rectrain.search.pruning import FILE

        folder.mkdir(parents=True, exist_ok=True)
        prunes = self.search.prune is not None and number == 0
        told = {"trial": trial.slot, "number": trial.optuna.number, "values": trial.values, "prunes": prunes}
        write_whole(folder / FILE, json.dumps(told))

    def _tell(self, trial, reports: list[dict]):
        from rectrain.search.pruning import PRUNED

        if reports[0].get("history"):
            trial.note(reports[0]["history"])
        values = [report["best"]["value"] for report in reports if report["status"] == "done" and report["best"]]
        if len(values) == self.search.seeds:
            value = sum(values) / len(values)
            self.study.tell(trial, "complete", value)
            say(f"trial {trial.slot}: {value:.4f}, {_shown(trial.values)}")
        elif str(reports[-1].get("stopped_because")).startswith(PRUNED):
            self.study.tell(trial, "pruned")
            say(f"trial {trial.slot}: {reports[-1]['stopped_because']}")
        else:
            self.study.tell(trial, "fail")
            say(f"trial {trial.slot}: failed, see {self._folder_of(trial.slot, len(reports) - 1) / 'report.json'}")

    def _write_summary(self) -> dict | None:
        """search.json, of all trials so far, best first; the best, if any has a value."""
        trials = [
            {"trial": found.pop("slot"), **found, "runs": self._runs_of(found_slot)}
            for found in self.study.results()
            for found_slot in [found["slot"]]
        ]
        write_whole(self.folder / SUMMARY, json.dumps({"trials": trials}, indent=1))
        return trials[0] if trials and trials[0]["value"] is not None else None

    def _runs_of(self, slot: int) -> list[int]:
        folders = [self._folder_of(slot, number) for number in range(self.search.seeds)]
        return [int(folder.name) for folder in folders if folder.is_dir()]


def _resolved(config: DictConfig) -> dict:
    """The sections but that of Hydra's, which holds what a job alone knows."""
    sections = {key: config[key] for key in config if key != "hydra"}
    return {k: OmegaConf.to_container(v, resolve=True) if OmegaConf.is_config(v) else v for k, v in sections.items()}


def _is_maximized(monitor: str) -> bool:
    from rectrain.training.monitor import HIGHER_IS_BETTER

    direction = HIGHER_IS_BETTER.get(monitor.rpartition(".")[2])
    if direction is None:
        raise InputError(f"trainer.monitor={monitor}: a search needs a metric of which more, or less, is better.")
    return direction


def _fixed(section: dict, raw: dict) -> dict:
    """What a search that goes on must share with the one before."""
    own = {key: value for key, value in section.items() if key not in ("trials", "trials_at_once")}
    return {"sweep": own, **deciding(raw)}


def _report(folder: Path) -> dict:
    """That of a run; where there is none the run came to nothing, as its launcher has said."""
    try:
        return json.loads(RunDir(folder).report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"status": "failed"}


def _shown(values: dict) -> str:
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
    )


def _said(error: Exception) -> str:
    from rectrain.hydra_errors import explain

    return str(error) if isinstance(error, InputError) else explain(error, [])
