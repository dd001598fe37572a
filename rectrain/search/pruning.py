"""Within a run of a search: whether it is worth going on with."""

from pathlib import Path

from rectrain.config import PruneConfig, parse
from rectrain.errors import InputError
from rectrain.plain_files import read_json
from rectrain.search import study as studies

FILE = "trial.json"  # in the folder of each run of a search
PRUNED = "pruned: "  # how `stopped_because` of such a run begins


class Pruner:
    """Tells a study of the evaluations of a run, and asks whether to go on.

    Args:
        trial: of Optuna's, which the run belongs to.
    """

    def __init__(self, study, trial):
        self._study, self._trial = study, trial
        self._values: list[float] = []

    @classmethod
    def of(cls, folder: Path) -> "Pruner | None":
        """That of a run's folder; None where its trial is not pruned or has ended, or the run belongs to none."""
        if not (folder / FILE).is_file() or not (folder.parent / studies.FILE).is_file():
            return None
        told = _read(folder / FILE)
        if not told["prunes"]:
            return None
        optuna = studies.import_optuna()
        study = studies.open_study(folder.parent)
        config = parse(PruneConfig, study.user_attrs["fixed"]["sweep"]["prune"], "sweep.prune")
        study.pruner = studies.median_pruner(config)
        found = next((t for t in study.trials if t.number == told["number"] and not t.state.is_finished()), None)
        return None if found is None else cls(study, optuna.trial.Trial(study, found._trial_id))

    def go_on(self, evaluations: list[dict]) -> str | None:
        """Takes note of what a run that goes on has done; why it should end, or None."""
        self._values = [entry["monitored"] for entry in evaluations]
        return self._reason() if evaluations else None

    def __call__(self, entry: dict) -> str | None:
        """Takes note of one more evaluation; why the run should end, or None."""
        self._values.append(entry["monitored"])
        return self._reason()

    def _reason(self) -> str | None:
        studies.note_evaluations(self._trial, self._values)
        if not self._trial.should_prune():
            return None
        number = len(self._values)
        return f"{PRUNED}at evaluation {number} its best value was worse than the median of the trials before it"


def _read(path: Path) -> dict:
    try:
        told = read_json(path)
        return {"number": int(told["number"]), "prunes": bool(told["prunes"])}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not as a search writes it ({error}). Remove it: the run is its own then."
        ) from error
