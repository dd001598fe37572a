"""rectrain compare: what the tests of several runs say, side by side."""

from pathlib import Path

from rectrain.config import CompareConfig
from rectrain.console import say, speaks_unicode, terminal_width, wants_color
from rectrain.errors import InputError
from rectrain.outputs.comparison import comparison
from rectrain.outputs.summary import Page
from rectrain.plain_files import read_json
from rectrain.run_dir import RunDir
from rectrain.sections import compare_config


def run(raw: dict):
    """Prints a table for each task.

    Raises:
        InputError: a folder holds no finished run, or a run has not scored the split.
    """
    config = compare_config(raw)
    page = Page(terminal_width(), wants_color(), speaks_unicode())
    say(comparison(_reports(config), config.split, page))


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
