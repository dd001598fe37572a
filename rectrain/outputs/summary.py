"""What the terminal says at the end of a run."""

import textwrap
from pathlib import Path

from rectrain.outputs import formats
from rectrain.outputs.formats import MISSING, metric_name, printable, split_names
from rectrain.run_dir import RunDir

# Columns of the metrics table, richest first: the first layout that fits the width is shown, without the metrics that
# no task has. True: with the interval.
LAYOUTS = (
    {"auc": True, "logloss": True, "ne": False, "pcoc": False, "gauc": False, "pr_auc": False, "mse": True, "r2": True},
    {"auc": True, "logloss": True, "ne": False, "pcoc": False, "mse": True, "r2": False},
    {"auc": True, "logloss": False, "ne": False, "pcoc": False, "mse": True, "r2": False},
    {"auc": False, "logloss": False, "ne": False, "pcoc": False, "mse": False, "r2": False},
    {"auc": False, "logloss": False, "mse": False, "r2": False},
)
GAP = "  "
LABEL_WIDTH = 13
LONGEST_TASK = 24  # characters of a task's name
COLOURS = {"done": "32", "stopped": "33", "failed": "31", "head": "2", "title": "1"}
ASCII = str.maketrans({"–": "-", "·": "|", "…": "~"})


def summary(report: dict, folder: Path, *, width: int, color: bool, unicode: bool = True) -> str:
    """Title, metrics by split and task, cost, and where the files lie.

    Args:
        width: columns of the terminal; only a path may be longer.
        color: with ANSI escapes.
        unicode: False keeps to ASCII.
    """
    page = Page(width, color, unicode)
    blocks = [heading(page, report), metrics_block(page, report), facts_block(page, report, folder)]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


class Page:
    """What the terminal can show."""

    def __init__(self, width: int, color: bool, unicode: bool):
        self.width, self.color, self.unicode = width, color, unicode

    def text(self, value) -> str:
        """One line of characters that the terminal can show."""
        line = " ".join(printable(value).split())
        return line if self.unicode else line.translate(ASCII).encode("ascii", "backslashreplace").decode()

    def clip(self, value, longest: int) -> str:
        line = self.text(value)
        return line if len(line) <= longest else line[: longest - 1] + self.text("…")

    def paint(self, line: str, style: str) -> str:
        return f"\033[{COLOURS[style]}m{line}\033[0m" if self.color else line

    def labelled(self, label: str, value: str) -> list[str]:
        """`label   value`, wrapped under the value's first character; the value's own lines stay apart."""
        room = max(self.width - LABEL_WIDTH, 20)
        wrapped = [textwrap.wrap(self.text(line), room, break_on_hyphens=False) for line in value.splitlines()]
        lines = [line for part in wrapped for line in part]
        return [f"{head:<{LABEL_WIDTH}}{line}" for head, line in zip([label, *[""] * len(lines)], lines, strict=False)]


def heading(page: Page, report: dict) -> list[str]:
    status, total = report["status"], (report.get("seconds") or {}).get("total")
    verb = {"done": "in", "stopped": "after", "failed": "after"}[status]
    end = status if total is None else f"{status} {verb} {formats.duration(total)}"
    name = page.clip(formats.title(report), max(page.width - len(end) - len(GAP), 20))
    lines = [f"{page.paint(name, 'title')}{GAP}{page.paint(end, status)}"]
    if report.get("error"):
        lines += page.labelled("error", report["error"])
    return lines


def metrics_block(page: Page, report: dict) -> list[str]:
    """The table, and why a metric is missing."""
    entries = [
        (split, task, entry)
        for split in split_names(report, "metrics")
        for task, entry in report["metrics"][split].items()
    ]
    if not entries:
        return []
    layouts = [known(layout, entries) for layout in LAYOUTS]
    tables = [(table_cells(page, entries, layout), layout) for layout in layouts]
    cells, layout = next((table for table in tables if table_width(table[0]) <= page.width), tables[-1])
    head, *rows = aligned(cells)
    return [page.paint(head, "head"), *rows, *reasons(page, entries, layout)]


def known(layout: dict[str, bool], entries: list) -> dict[str, bool]:
    """The layout without metrics that no entry has."""
    return {key: interval for key, interval in layout.items() if any(key in entry for _, _, entry in entries)}


def table_cells(page: Page, entries: list, layout: dict[str, bool]) -> list[list[str]]:
    rows = [["split", "task", *map(metric_name, layout)]]
    for split, task, entry in entries:
        values = [cell(entry.get(key) or {}, with_interval) for key, with_interval in layout.items()]
        rows.append([page.text(split), page.clip(task, LONGEST_TASK), *map(page.text, values)])
    return rows


def cell(entry: dict, with_interval: bool) -> str:
    value = formats.metric(entry.get("value"))
    return formats.join([value, formats.interval(entry) if with_interval else ""], " ")


def column_widths(rows: list[list[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def table_width(rows: list[list[str]]) -> int:
    widths = column_widths(rows)
    return sum(widths) + len(GAP) * (len(widths) - 1)


def aligned(rows: list[list[str]]) -> list[str]:
    widths = column_widths(rows)
    return [GAP.join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def reasons(page: Page, entries: list, layout: dict[str, bool]) -> list[str]:
    """Why a shown metric has no value, each reason once."""
    said = [
        f"{MISSING} {metric_name(key)}: {entry[key]['reason']}"
        for _, _, entry in entries
        for key in layout
        if key in entry and entry[key].get("value") is None and entry[key].get("reason")
    ]
    return [line for reason in dict.fromkeys(said) for line in textwrap.wrap(page.text(reason), page.width)]


def facts_block(page: Page, report: dict, folder: Path) -> list[str]:
    facts = {
        "who counts": who_counts(report),
        "sample": sample(report),
        "best": best(report),
        "parameters": parameters(report.get("parameters") or {}),
        "speed": speed(report.get("throughput") or {}),
        "repeated": formats.repeated(report),
        "peak memory": formats.size((report.get("memory") or {}).get("peak_rss_bytes")),
        "time": times(report.get("seconds") or {}),
    }
    lines = [
        line for label, value in facts.items() if value not in ("", MISSING) for line in page.labelled(label, value)
    ]
    if report.get("steps"):
        lines.append(f"{'checkpoints':<{LABEL_WIDTH}}{page.text(RunDir(folder).checkpoints)}")
    return [*lines, f"{'report':<{LABEL_WIDTH}}{page.text(folder / 'report.html')}"]


def who_counts(report: dict) -> str:
    """Rows and positives of each task of the last split, where there are several tasks."""
    splits = split_names(report, "metrics")
    entries = report["metrics"][splits[-1]] if splits else {}
    if len(entries) < 2:
        return ""
    counts = [
        f"{task} {formats.counted(entry['rows'], 'row')}"
        + (f", {formats.count(entry['positives'])} positive" if "positives" in entry else "")
        for task, entry in entries.items()
        if "rows" in entry
    ]
    return f"{splits[-1]}: {'; '.join(counts)}"


def sample(report: dict) -> str:
    data = report.get("data") or {}
    if data.get("source") != "sample":
        return ""
    known = data.get("sample") or {}
    bayes = f"; Bayes AUC {formats.metric(known['bayes_auc'])}" if known.get("bayes_auc") is not None else ""
    return f"built-in, not the real data{bayes}"


def best(report: dict) -> str:
    kept = report.get("best") or {}
    if kept.get("step") is None:
        return report.get("stopped_because") or ""
    value = f"validation {kept['metric']} {formats.metric(kept['value'])} at step {formats.count(kept['step'])}"
    return formats.join([value, report.get("stopped_because") or ""], "; ")


def parameters(counts: dict) -> str:
    if counts.get("total") is None:
        return ""
    parts = ", ".join(f"{key} {formats.count(counts[key])}" for key in ("embedding", "dense") if key in counts)
    return formats.join([formats.count(counts["total"]), parts and f"({parts})"], " ")


def speed(rates: dict) -> str:
    return ", ".join(
        f"{name} {formats.rate(rates[key])}"
        for name, key in (("training", "train_rows_per_s"), ("evaluation", "eval_rows_per_s"))
        if rates.get(key) is not None
    )


def times(seconds: dict) -> str:
    return ", ".join(
        f"{name} {formats.duration(s)}" for name, s in seconds.items() if name != "total" and s is not None
    )
