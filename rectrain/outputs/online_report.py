"""What an online run tells: lines of a growing table, and its report."""

import importlib.metadata
import platform
from datetime import UTC, datetime

from rectrain.memory import peak_rss_bytes
from rectrain.outputs import charts, formats
from rectrain.outputs.charts import Series
from rectrain.outputs.formats import printable
from rectrain.outputs.summary import ASCII

_COLUMNS = (
    ("rows", 12),
    ("logloss", 9),
    ("AUC", 7),
    ("logloss", 9),
    ("AUC", 7),
    ("base rate", 10),
    ("non-zero", 12),
    ("rows/s", 11),
)
_PACKAGES = ("tensorflow", "keras", "numpy", "pyarrow", "numba", "rectrain")


def table_head() -> str:
    """Two lines above the table: logloss and AUC of the rows since the line before, then of all rows."""
    above = f"{'':12}{'since the last line':>16}{'all rows':>16}"
    return above + "\n" + "".join(f"{name:>{width}}" for name, width in _COLUMNS)


def table_line(entry: dict, task: str, *, several: bool, unicode: bool) -> str:
    """unicode: False keeps to ASCII."""
    window, overall = entry["window"][task], entry["overall"][task]
    cells = [
        formats.count(entry["rows"]),
        formats.metric(window["logloss"]),
        formats.metric(window["auc"]),
        formats.metric(overall["logloss"]),
        formats.metric(overall["auc"]),
        formats.percent(window["base_rate"]),
        formats.count(entry["nonzero_weights"]),
        formats.count(int(entry["rows"] / entry["seconds"])) if entry["seconds"] else "",
    ]
    line = "".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, _COLUMNS, strict=True))
    line = f"{line}  {printable(task)}" if several else line
    return line if unicode else line.translate(ASCII).encode("ascii", "backslashreplace").decode()


def online_report(facts: dict, loop, learner, source: dict) -> dict:
    """What report.json holds; its keys are those of a training run where both have them.

    Args:
        facts: command, config, started, status and error.
        loop, learner: what is known of the run, rectrain/online/.
        source: source, sample and bad_rows of the data.
    """
    state, config = loop.state, facts["config"]
    learned = {name: p.metrics() for name, p in loop.progressive.items() if p.counts.any()}
    total = (datetime.now(UTC) - facts["started"]).total_seconds()
    return {
        **facts,
        "started": facts["started"].isoformat(timespec="seconds"),
        "seed": config["seed"],
        "model": config["model"]["name"],
        "seconds": {"learn": loop.seconds, "total": total},
        "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in _PACKAGES}},
        "data": {"name": config["data"]["name"], **source},
        "metrics": {"progressive": learned} if learned else {},
        "online": {"rows": state.rows, "windows": state.windows, **learner.sparsity()},
        "parameters": learner.parameters(),
        "throughput": {"train_rows_per_s": loop.rows_of_this_run / loop.seconds if loop.seconds else None},
        "memory": {"peak_rss_bytes": peak_rss_bytes()},
        "weights_sha256": learner.weights_sha256(),
    }


def stream_section(report: dict) -> str:
    """Loss, AUC and weights that are not 0, over rows."""
    windows = (report.get("online") or {}).get("windows") or []
    if not windows:
        return ""
    tasks = list(windows[-1]["overall"])
    x = charts.axis_from_zero("rows", windows[-1]["rows"])
    figures = [_metric_chart(windows, task, key, x) for task in tasks for key in ("logloss", "auc")]
    figures.append(_sparsity_chart(windows, x))
    bad = (report.get("data") or {}).get("bad_rows")
    skipped = f"<p>{formats.counted(bad, 'row')} did not parse and were skipped: bad_rows.jsonl.</p>" if bad else ""
    return (
        f'<section><h2>Progressive validation</h2><div class="charts">{"".join(figures)}</div>{skipped}'
        '<p class="muted">Each row was scored before it was learned from.</p></section>\n'
    )


def _metric_chart(windows: list[dict], task: str, key: str, x: charts.Axis) -> str:
    name = formats.metric_name(key)
    lines = [
        Series(label, style, [(w["rows"], w[part][task][key]) for w in windows], dots=len(windows) <= 40)
        for part, label, style in (("window", "since the point before", "valid"), ("overall", "all rows", "test"))
    ]
    known = [y for line in lines for _, y in line.points if y is not None]
    return charts.line_chart(f"{name}, {task}", x, charts.linear_axis(name, known), lines) if known else ""


def _sparsity_chart(windows: list[dict], x: charts.Axis) -> str:
    points = [(w["rows"], w["nonzero_weights"]) for w in windows]
    y = charts.axis_from_zero("weights", max(1, *(n for _, n in points)))
    return charts.line_chart("Weights that are not 0", x, y, [Series("not 0", "valid", points, dots=len(points) <= 40)])
