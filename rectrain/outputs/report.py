"""A run's report: report.json for programs, report.html for people, both made from one dict."""

import json
import math
from pathlib import Path

import numpy as np

from rectrain.outputs.html import render_html
from rectrain.run_dir import write_whole


def write_report(folder: Path, report: dict):
    """Writes report.html from what report.json will hold, then report.json; each file is whole or as it was.

    So where report.json says that a run is done, its report is there.

    Raises:
        OSError: the folder cannot be written.
    """
    text = to_json(report)
    write_whole(folder / "report.html", render_html(json.loads(text)))
    write_whole(folder / "report.json", text)


def to_json(report: dict) -> str:
    """Strict JSON in UTF-8: null stands for nan and infinities; a path that is not UTF-8 keeps its bytes as escapes."""
    text = json.dumps(plain(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def plain(value):
    """The same value in JSON's types; NumPy scalars and arrays become numbers and lists."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
