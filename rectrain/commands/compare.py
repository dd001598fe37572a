"""rectrain compare: runs as a leaderboard, and the gate against a baseline. A sweep ends with the same."""

from pathlib import Path

from rectrain.config import CompareConfig
from rectrain.console import say, speaks_unicode, terminal_width, wants_color
from rectrain.errors import CANNOT_WRITE, GateError, InputError
from rectrain.evaluation.pairing import paired_with
from rectrain.outputs.comparison import comparison
from rectrain.outputs.configurations import configurations
from rectrain.outputs.leaderboard import Board, Line, board, to_csv
from rectrain.outputs.leaderboard_page import leaderboard_page
from rectrain.outputs.summary import Page
from rectrain.plain_files import read_json
from rectrain.run_dir import RunDir, runs_in, write_whole
from rectrain.sections import compare_config

_GATED = ("auc", "mse")  # of a task, or of one whose label is a number
_SPLITS = ("test", "valid", "train")  # the first that all runs have scored is reported


def run(raw: dict):
    """Prints the leaderboard, and how the runs stand against the baseline or the best.

    Raises:
        InputError: a folder holds no finished run, or a run has not scored the split.
        GateError: `fail_if_worse`, and a run is worse than the baseline.
    """
    config = compare_config(raw)
    if config.fail_if_worse and config.baseline is None:
        raise InputError("fail_if_worse=true needs a run to compare with: set baseline=DIR.")
    if config.output is not None and not config.output.endswith(".html"):
        raise InputError(f"output={config.output}: expected a file of .html; the figures come beside it as .csv.")
    found = _leaderboard(config)
    _show(found, None if config.output is None else Path(config.output))
    if config.fail_if_worse:
        _gate(found, config.baseline)


def end_sweep(folder: Path):
    """The leaderboard of a sweep, on the terminal and in its folder; a sweep without a run that is done has none."""
    config = CompareConfig([str(folder)], split=None, output=None, baseline=None, fail_if_worse=False)
    try:
        found = _leaderboard(config)
    except InputError as error:
        say(f"no leaderboard: {error}")
        return
    say("")
    _show(found, folder / "leaderboard.html")


def _show(found: Board, output: Path | None):
    say(comparison(found, Page(terminal_width(), wants_color(), speaks_unicode())))
    if output is None:
        return
    try:
        write_whole(output, leaderboard_page(found))
        write_whole(output.with_suffix(".csv"), to_csv(found))
    except OSError as error:
        why = CANNOT_WRITE.get(error.errno or 0, str(error.strerror))
        raise InputError(
            f"output={output}: cannot write there: {why}. Name another file with output=F.html."
        ) from error
    say("")
    say(f"leaderboard  {output}")


def _leaderboard(config: CompareConfig) -> Board:
    baseline = _baseline(config.baseline)
    named = {str(folder): _report(folder) for name in config.runs for folder in runs_in(Path(name))}
    named = {folder: report for folder, report in named.items() if not any(_same(folder, other) for other in baseline)}
    done = {folder: report for folder, report in named.items() if report.get("status") == "done"}
    failed = {folder: report for folder, report in named.items() if folder not in done}
    if not done:
        raise InputError(f"runs={config.runs}: none of them is done.")
    found = board(done, baseline, failed, _split(config.split, done | baseline))
    others = [line.configuration.runs for line in found.others]
    return found.compared(paired_with(found.reference.configuration.runs, others, found.split))


def _same(folder: str, other: str) -> bool:
    return Path(folder).resolve() == Path(other).resolve()


def _baseline(named: str | None) -> dict[str, dict]:
    if named is None:
        return {}
    found = {str(folder): _report(folder) for folder in runs_in(Path(named), "baseline")}
    for folder, report in found.items():
        if report.get("status") != "done":
            raise InputError(f"baseline={named}: {folder} is not done ({report.get('status')}).")
    if len(configurations(found)) > 1:
        raise InputError(f"baseline={named} holds several configurations; expected runs that differ in the seed alone.")
    return found


def _split(asked: str | None, reports: dict[str, dict]) -> str:
    """
    Raises:
        InputError: a run has not scored it.
    """
    for split in _SPLITS if asked is None else (asked,):
        if all(split in report["metrics"] for report in reports.values()):
            return split
    lacks = next(folder for folder, report in reports.items() if (asked or _SPLITS[0]) not in report["metrics"])
    scored = ", ".join(reports[lacks]["metrics"]) or "none"
    raise InputError(
        f"split={asked}: {lacks} has not scored it, only {scored} (trainer.report_splits)."
        if asked
        else f"there is no split that all runs have scored: {lacks} has {scored} (trainer.report_splits)."
    )


def _gate(found: Board, baseline: str | None):
    """
    Raises:
        InputError: a run cannot be compared, so that nothing is known of it.
        GateError: one is worse.
    """
    unknown = [failure.folder for failure in found.failures]
    unknown += [line.configuration.words for line in found.others if not _is_known(line, list(found.reference.metrics))]
    if unknown:
        raise InputError(f"fail_if_worse=true: {', '.join(unknown)} cannot be held to the baseline {baseline}.")
    worse = [
        f"{line.configuration.words} ({task})"
        for line in found.others
        for task, by_metric in line.against.items()
        if any(by_metric[metric]["verdict"] == "worse" for metric in _GATED if metric in by_metric)
    ]
    if worse:
        raise GateError(f"worse than baseline={baseline} on {found.split}: {', '.join(worse)}.")


def _is_known(line: Line, tasks: list[str]) -> bool:
    """Whether it could be compared in each of the tasks."""
    return all(any(metric in line.against.get(task, {}) for metric in _GATED) for task in tasks)


def _report(folder: Path) -> dict:
    path = RunDir(folder).report
    try:
        report = read_json(path)
    except FileNotFoundError:  # it was killed, or goes on
        return {"status": "no report"}
    except ValueError as error:
        raise InputError(f"runs: {path} is not whole ({error}). Run it again.") from error
    sections = [report.get(key) for key in ("config", "metrics")] if isinstance(report, dict) else []
    if not isinstance(report, dict) or (
        report.get("status") == "done" and not all(isinstance(s, dict) for s in sections)
    ):
        raise InputError(f"runs: {path} is no report of a run: it has no config and metrics. Leave the run out.")
    return report
