"""A search in Optuna's words: a study on disk, whose trials are told what their runs came to.

A slot is a place among the trials that were asked for, 0, 1, ...; it is what people call a trial. A trial of Optuna's
that came to nothing (killed, failed) leaves its slot, its values and its folders to another one.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rectrain.config import PruneConfig, SearchConfig
from rectrain.errors import InputError
from rectrain.same_config import check_same
from rectrain.search.space import Choices, Numbers, Space

if TYPE_CHECKING:
    import optuna

FILE = "search.db"
_NAME = "search"
_WAIT_S = 60  # for the lock of the file, which the jobs hold for moments


@dataclass
class Trial:
    """A slot and what Optuna proposes for it."""

    slot: int
    values: dict  # key -> value
    optuna: "optuna.trial.Trial"

    def note(self, history: list[dict]):
        """The values of a run's evaluations, as far as the run itself has not noted them."""
        note_evaluations(self.optuna, [entry["monitored"] for entry in history])


def import_optuna():
    """Optuna, which says no more than is asked of it."""
    try:
        import optuna
    except ImportError as error:
        raise InputError("sweep=... needs Optuna: pip install 'rectrain[optuna]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_study(folder: Path, **more) -> "optuna.study.Study":
    """The study of a sweep's folder, made where there is none."""
    optuna = import_optuna()
    if not str(folder).isprintable() or "?" in str(folder):
        raise InputError(f"hydra.sweep.dir={str(folder)!r}: a search keeps a database there, whose name takes no '?'.")
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{folder.resolve() / FILE}", engine_kwargs={"connect_args": {"timeout": _WAIT_S}}
    )
    return optuna.create_study(storage=storage, study_name=_NAME, load_if_exists=True, **more)


class Search:
    """Proposes trials until there are as many as were asked for.

    Args:
        fixed: plain values that make up the search; one that goes on must have the same.
    Raises:
        InputError: the folder holds a search already and `resume` is not set, or one of other values.
    """

    def __init__(self, config: SearchConfig, space: Space, folder: Path, *, maximize: bool, fixed: dict, resume: bool):
        if (folder / FILE).exists() and not resume:
            raise InputError(
                f"{folder} holds a search already ({FILE}). Go on with it by resume=true, or name another folder with "
                "hydra.sweep.dir=DIR."
            )
        import_optuna()
        folder.mkdir(parents=True, exist_ok=True)
        self.config, self.space = config, space
        self.study = open_study(folder, direction="maximize" if maximize else "minimize")
        check_same(self.study.user_attrs.get("fixed", fixed), fixed, folder)
        self.study.set_user_attr("fixed", fixed)
        self._begin_again()

    def _begin_again(self):
        """Slots whose trial came to nothing wait for another one, with the values they had."""
        from optuna.trial import TrialState

        last = {trial.user_attrs.get("slot"): trial for trial in self.study.trials}
        for trial in self.study.trials:
            if trial.state == TrialState.RUNNING:
                self.study.tell(trial.number, state=TrialState.FAIL)
        for slot, trial in last.items():
            if slot is not None and trial.state in (TrialState.RUNNING, TrialState.FAIL):
                self.study.enqueue_trial(trial.params, user_attrs={"slot": slot})

    def ask(self) -> list[Trial]:
        """The trials to come, as many as are proposed at once; none at the end."""
        return [self._ask() for _ in range(min(self.config.trials_at_once, self._num_missing()))]

    def _num_missing(self) -> int:
        from optuna.trial import TrialState

        trials = self.study.get_trials(deepcopy=False)
        waiting = sum(trial.state == TrialState.WAITING for trial in trials)
        return waiting + max(self.config.trials - len(self._slots()), 0)

    def _slots(self) -> set[int]:
        trials = self.study.get_trials(deepcopy=False)
        return {trial.user_attrs["slot"] for trial in trials if "slot" in trial.user_attrs}

    def _ask(self) -> Trial:
        """Draws of a slot depend on its number alone, so that a search that goes on draws as it would have."""
        slot = len(self._slots())
        self.study.sampler = _sampler(self.config, slot)
        trial = self.study.ask({key: _distribution(knob) for key, knob in self.space.items()})
        if "slot" not in trial.user_attrs:
            trial.set_user_attr("slot", slot)
        return Trial(trial.user_attrs["slot"], values_of(trial.params, self.space), trial)

    def tell(self, trial: Trial, state: str, value: float | None = None):
        """
        Args:
            state: "complete" with a value, "pruned" or "fail".
        """
        from optuna.trial import TrialState

        self.study.tell(trial.optuna, value, TrialState[state.upper()])

    def results(self) -> list[dict]:
        """Of each slot: slot, state, value (null where it did not end) and values, best first."""
        last = {trial.user_attrs["slot"]: trial for trial in self.study.trials if "slot" in trial.user_attrs}
        found = [
            {
                "slot": slot,
                "state": trial.state.name.lower(),
                "value": trial.value if trial.state.name == "COMPLETE" else None,
                "values": values_of(trial.params, self.space),
            }
            for slot, trial in sorted(last.items())
        ]
        sign = -1 if self.study.direction.name == "MAXIMIZE" else 1
        return sorted(found, key=lambda trial: (trial["value"] is None, sign * (trial["value"] or 0.0)))


def values_of(params: dict, space: Space) -> dict:
    """Optuna's names of values as values."""
    return {key: json.loads(v) if isinstance(space[key], Choices) else v for key, v in params.items()}


def note_evaluations(trial: "optuna.trial.Trial", values: list[float]):
    """Those that the trial does not have yet, under their numbers, from 1 on."""
    known = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
    for number, value in enumerate(values, 1):
        if number not in known:
            trial.report(value, number)


def median_pruner(config: PruneConfig):
    return import_optuna().pruners.MedianPruner(config.startup_trials, config.warmup_evaluations + 1)


def _sampler(config: SearchConfig, slot: int):
    optuna = import_optuna()
    seed = int(np.random.SeedSequence([config.seed, slot]).generate_state(1)[0])
    return optuna.samplers.RandomSampler(seed) if config.sampler == "random" else optuna.samplers.TPESampler(seed=seed)


def _distribution(knob: Choices | Numbers):
    distributions = import_optuna().distributions
    if isinstance(knob, Choices):
        return distributions.CategoricalDistribution([json.dumps(value) for value in knob.values])
    if knob.whole:
        return distributions.IntDistribution(knob.low, knob.high, knob.log, knob.step or 1)
    return distributions.FloatDistribution(knob.low, knob.high, knob.log, knob.step)
