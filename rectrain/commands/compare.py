"""rectrain compare: what the tests of several runs say, side by side."""

from pathlib import Path

from rectrain.config import CompareConfig
from rectrain.console import import_tensorflow, say, speaks_unicode, terminal_width, wants_color
from rectrain.errors import GateError, InputError
from rectrain.outputs.comparison import comparison
from rectrain.outputs.summary import Page
from rectrain.outputs.verdict import verdict_lines
from rectrain.plain_files import read_json
from rectrain.run_dir import RunDir
from rectrain.sections import compare_config


def run(raw: dict):
    """Prints a table for each task, and how the runs stand against the baseline.

    Raises:
        InputError: a folder holds no finished run, or a run has not scored the split.
        GateError: `fail_if_worse`, and a run is worse than the baseline.
    """
    config = compare_config(raw)
    page = Page(terminal_width(), wants_color(), speaks_unicode())
    reports = _reports(config)
    say(comparison(reports, config.split, page))
    if config.baseline is not None:
        _against_baseline(config, config.baseline, [f for f in reports if not _same(f, config.baseline)], page)
    elif config.fail_if_worse:
        raise InputError("fail_if_worse=true needs a run to compare with: set baseline=DIR.")


def _same(folder: str, other: str) -> bool:
    return Path(folder).resolve() == Path(other).resolve()


def _against_baseline(config: CompareConfig, baseline: str, folders: list[str], page: Page):
    """Scores the rows of all runs again, with their best checkpoints."""
    RunDir(Path(baseline)).check_is_training()
    import_tensorflow()
    from rectrain.evaluation.paired import paired_differences
    from rectrain.training.restore import restore_run

    their_run = restore_run(Path(baseline), "best")
    their_data, theirs = their_run.prepared.folder.name, their_run.score(config.split)
    worse, unpaired = [], []
    for folder in folders:
        run = restore_run(Path(folder), "best")
        if run.prepared.folder.name != their_data:
            say(f"not paired: {folder} has other data ({run.prepared.folder.name}) than the baseline ({their_data})")
            unpaired.append(folder)
            continue
        found = paired_differences(run.score(config.split), theirs, _shared(run.steps.tasks, their_run.steps.tasks))
        say("\n".join(verdict_lines(page, f"{folder} against {baseline}", found, _speed(folder, baseline))))
        worse += [f"{folder} ({task})" for task, of in found.items() if _is_worse(of)]
    if unpaired and config.fail_if_worse:
        raise InputError(f"fail_if_worse=true: {', '.join(unpaired)} cannot be held to a baseline of other data.")
    if worse and config.fail_if_worse:
        raise GateError(f"worse than baseline={baseline} on {config.split}: {', '.join(worse)}.")


def _shared(tasks: list, others: list) -> list:
    names = [task.name for task in others]
    return [task for task in tasks if task.name in names]


def _is_worse(found: dict) -> bool:
    return any(found[name]["verdict"] == "worse" for name in ("auc", "mse") if name in found)


def _speed(folder: str, baseline: str) -> float | None:
    ours, theirs = (_report(Path(f))["throughput"]["train_rows_per_s"] for f in (folder, baseline))
    return ours / theirs if ours and theirs else None


def _reports(config: CompareConfig) -> dict[str, dict]:
    folders = [folder for named in config.runs for folder in _runs_in(Path(named))]
    reports = {str(folder): _report(folder) for folder in folders}
    done = {folder: report for folder, report in reports.items() if report.get("status") == "done"}
    for folder in reports.keys() - done.keys():
        say(f"left out: {folder} ({reports[folder].get('status', 'no report')})")
    for folder, report in done.items():
        if config.split not in report["metrics"]:
            raise InputError(
                f"split={config.split}: {folder} has not scored it, only {', '.join(report['metrics']) or 'none'} "
                "(trainer.report_splits)."
            )
    if not done:
        raise InputError(f"runs={config.runs}: none of them is done.")
    return done


def _runs_in(folder: Path) -> list[Path]:
    """The folder of a run itself, or all runs of a sweep's, in the order of their numbers."""
    if RunDir(folder).report.is_file():
        return [folder]
    found = [report.parent for report in folder.glob(f"*/{RunDir(folder).report.name}")]
    if not found:
        raise InputError(f"runs: {folder} is no folder of a run or a sweep: no {RunDir(folder).report.name} in it.")
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _report(folder: Path) -> dict:
    try:
        return read_json(RunDir(folder).report)
    except ValueError as error:
        raise InputError(f"runs: {RunDir(folder).report} is not whole ({error}). Run it again.") from error
