"""How configurations stand against the reference of a leaderboard, in words."""

from collections.abc import Iterable

from rectrain.outputs import formats
from rectrain.outputs.leaderboard import Board, Line

_SAME_SPEED = 1.1  # a ratio of training speeds below this is none


def sentences(found: Board) -> list[str]:
    """How each of the others stands against the reference: one a task."""
    return [sentence for line in found.others for sentence in _sentences(line, found)]


def _sentences(line: Line, found: Board) -> Iterable[str]:
    name, pace = line.configuration.words, _pace(line, found.reference)
    if line.unpaired is not None:
        yield f"{name} is not paired: {line.unpaired}"
        return
    for task, by_metric in line.against.items():
        on = f" on {task}" if len(found.tasks) > 1 else ""
        yield formats.join([f"{name}{on} {_verdicts(by_metric) or 'has no metric to compare'}", pace], "; ")


def _verdicts(by_metric: dict[str, dict]) -> str:
    """`is better by 0.0021 AUC, 95 % 0.0009 to 0.0033`; metrics of one verdict share its verb."""
    told: dict[str, list[str]] = {}
    for metric, entry in by_metric.items():
        verb, what = verdict(metric, entry)
        told.setdefault(verb, []).append(what)
    return ", ".join(f"{verb} {' and '.join(what)}" for verb, what in told.items())


def verdict(metric: str, entry: dict) -> tuple[str, str]:
    """Verb and figures."""
    name, places = formats.metric_name(metric), 4 if abs(entry["difference"]) >= 1e-3 else 5
    if entry["verdict"] == "no difference":
        low, high = f"{entry['low']:+.{places}f}", f"{entry['high']:+.{places}f}"
        return "cannot be told apart in", f"{name} ({entry['difference']:+.{places}f}, 95 % {low} to {high})"
    small, large = sorted((abs(entry["low"]), abs(entry["high"])))
    size = f"{abs(entry['difference']):.{places}f} {name}"
    return f"is {entry['verdict']} by", f"{size}, 95 % {small:.{places}f} to {large:.{places}f}"


def _pace(line: Line, reference: Line) -> str:
    ours, theirs = (of.costs["train_rows_per_s"] for of in (line, reference))
    if not ours or not theirs or 1 / _SAME_SPEED < ours / theirs < _SAME_SPEED:
        return ""
    return f"faster by {ours / theirs:.1f}x" if ours > theirs else f"slower by {theirs / ours:.1f}x"
