"""Runs against a baseline, in words."""

from rectrain.outputs.formats import metric_name
from rectrain.outputs.summary import Page

_SAME_SPEED = 1.1  # a ratio of training speeds below this is none


def verdict_lines(page: Page, run: str, tasks: dict[str, dict], speed: float | None) -> list[str]:
    """`click: AUC better by .0021 [.0009, .0033]; logloss ...`, one line a task.

    Args:
        tasks: what paired_differences says.  speed: rows a second of training over those of the baseline.
    """
    lines = [page.paint(page.text(run), "title")]
    for task, found in tasks.items():
        told = "; ".join(_told(metric, entry) for metric, entry in found.items())
        lines += page.labelled(task, told or "no metric can be compared on these rows")
    pace = _pace(speed)
    return lines + (page.labelled("training", pace) if pace else [])


def _told(metric: str, entry: dict) -> str:
    low, high = sorted((entry["low"], entry["high"]))
    if entry["verdict"] == "no difference":
        return f"{metric_name(metric)} no difference ({entry['difference']:+.4f} [{low:+.4f}, {high:+.4f}])"
    size = sorted((abs(low), abs(high)))
    return f"{metric_name(metric)} {entry['verdict']} by {abs(entry['difference']):.4f} [{size[0]:.4f}, {size[1]:.4f}]"


def _pace(speed: float | None) -> str:
    if speed is None or 1 / _SAME_SPEED < speed < _SAME_SPEED:
        return ""
    return f"faster by {speed:.1f}x" if speed > 1 else f"slower by {1 / speed:.1f}x"
