"""Numbers and text as people read them, in the terminal and in the HTML report alike."""

import json
import re
from collections.abc import Iterable, Iterator

MISSING = "–"
YAML_WORDS = ("true", "false", "null", "yes", "no", "on", "off")  # not text unless quoted
SPLITS = ("train", "valid", "test")
METRIC_NAMES = {
    "auc": "AUC",
    "logloss": "logloss",
    "ne": "NE",
    "pcoc": "PCOC",
    "gauc": "GAUC",
    "pr_auc": "PR-AUC",
    "mse": "MSE",
    "r2": "R2",
}


def printable(text) -> str:
    """Text without control characters (line ends and tabs stay) and without halves of characters."""
    whole = str(text).encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in whole)


def title(report: dict) -> str:
    """`dcn on criteo`, and whether that is the built-in sample."""
    return printable(f"{report['model']} on {data_title(report)}")


def data_title(report: dict) -> str:
    data = report.get("data") or {}
    sample = " (built-in sample)" if data.get("source") == "sample" else ""
    return f"{data.get('name', MISSING)}{sample}"


def split_names(report: dict, key: str) -> list[str]:
    """Splits that report[key] holds: train, valid, test first, then any other."""
    held = report.get(key) or {}
    return [s for s in SPLITS if s in held] + [s for s in held if s not in SPLITS]


def repeated(report: dict) -> str:
    """What was trained on more often than planned; empty where nothing was."""
    number = (report.get("rows") or {}).get("repeated")
    return f"{counted(number, 'row')} trained on again, as a worker was lost" if number else ""


def task_names(by_split: dict | None) -> list[str]:
    """Tasks of a {split: {task: ...}}, in order of first appearance."""
    return list(dict.fromkeys(task for tasks in (by_split or {}).values() for task in tasks))


def metric_name(key: str) -> str:
    return METRIC_NAMES.get(key, key)


def decimals(value: float) -> int:
    """A fifth decimal where the logloss of a rare event would lose its digits."""
    return 4 if abs(value) >= 0.1 else 5


def metric(value: float | None) -> str:
    return MISSING if value is None else f"{value:.{decimals(value)}f}"


def interval(entry: dict) -> str:
    """`[low, high]` with the decimals of the value; empty without an interval."""
    value, low, high = (entry.get(key) for key in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return ""
    return f"[{low:.{decimals(value)}f}, {high:.{decimals(value)}f}]"


def count(number: float | None) -> str:
    return MISSING if number is None else f"{number:,.0f}"


def counted(number: int, noun: str) -> str:
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def percent(share: float | None) -> str:
    """Three significant digits, never more than four decimals."""
    if share is None:
        return MISSING
    value = 100 * share
    places = next((places for places, floor in ((1, 10), (2, 1), (3, 0.1)) if abs(value) >= floor), 4)
    return f"{value:.{places if value else 0}f} %"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return MISSING
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(num_bytes: float | None) -> str:
    if num_bytes is None:
        return MISSING
    mebibytes = num_bytes / 2**20
    return f"{mebibytes:,.0f} MiB" if mebibytes < 1000 else f"{mebibytes / 1024:,.1f} GiB"


def rate(rows_per_s: float | None) -> str:
    return MISSING if rows_per_s is None else f"{count(rows_per_s)} rows/s"


def join(parts: Iterable[str], separator: str = " · ") -> str:
    """The parts that say something, separated."""
    return separator.join(part for part in parts if part)


def as_yaml(config: dict) -> str:
    return "\n".join(yaml_lines(config, ""))


def yaml_lines(config: dict, indent: str) -> Iterator[str]:
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            yield from yaml_lines(value, indent + "  ")
        else:
            yield f"{indent}{key}: {inline_yaml(value)}"


def inline_yaml(value) -> str:
    """A value on one line; text that YAML would read as something else is quoted."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_./][\w./-]*", value) and value.lower() not in YAML_WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)


def short_value(value) -> str:
    """The same for people to read: of a number that a search drew four digits."""
    is_long = isinstance(value, float) and float(f"{value:.4g}") != value
    return f"{value:.4g}" if is_long else inline_yaml(value)
