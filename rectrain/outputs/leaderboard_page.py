"""leaderboard.html: one file without script or outside links, like report.html."""

from rectrain.outputs import charts, formats
from rectrain.outputs.charts import Series, text
from rectrain.outputs.comparison import METRICS, against, costs, how, setting, short_names, short_words, spread
from rectrain.outputs.expectations import HEAD, expectations
from rectrain.outputs.formats import metric_name
from rectrain.outputs.html import page, table
from rectrain.outputs.knobs import knob_charts
from rectrain.outputs.leaderboard import Board, Line, Spread
from rectrain.outputs.verdict import sentences

_COLOURS = 8  # of curves: configurations that stand behind are grey
_SETTINGS = 3  # as many have a column each
_CURVES = ("auc", "logloss", "mse")


def leaderboard_page(found: Board) -> str:
    parts = (_header, _tables, _verdicts, _expected, _costs, _knobs, _curves, _failures, _folders)
    return page(_title(found), "".join(part(found) for part in parts))


def _title(found: Board) -> str:
    data = dict.fromkeys(formats.data_title(line.configuration.first) for line in found.lines)
    several = formats.counted(len(found.lines), "configuration")
    runs = formats.counted(sum(len(line.configuration.runs) for line in found.lines), "run")
    return f"{several}, {runs} on {', '.join(data)}"


def _header(found: Board) -> str:
    return (
        f'<header><h1>{text(_title(found))}</h1></header><p class="facts">{text(how(found))}</p>{_told_apart(found)}\n'
    )


def _told_apart(found: Board) -> str:
    """How many of the others are known to differ from the reference."""
    lines = [
        f"{metric_name(metric)}{f' on {task}' if len(found.tasks) > 1 else ''}: {len(known)} of {len(entries)}"
        for task in found.tasks
        for metric in ("auc", "mse")
        if (entries := [line.against[task][metric] for line in found.others if metric in line.against.get(task, {})])
        and (known := [entry for entry in entries if entry["verdict"] != "no difference"]) is not None
    ]
    told = f"Known to differ from {found.reference.configuration.words} in {'; in '.join(lines)}."
    return f'<p class="banner">{text(told)}</p>' if lines else ""


# Figures


def _tables(found: Board) -> str:
    return "".join(_task_table(found, task) for task in found.tasks)


def _task_table(found: Board, task: str) -> str:
    metrics = [key for key in METRICS if key in found.metrics(task)]
    compared = [key for key in metrics if any(key in line.against.get(task, {}) for line in found.lines)]
    valid = [f"valid {found.monitor}"] if found.monitor else []
    differences = [f"{metric_name(key)} against {found.place}" for key in compared]
    head = [*_name_head(found), "runs", *valid, *map(metric_name, metrics), *differences]
    rows = [
        [
            *_name_cells(found, line),
            str(len(line.configuration.runs)),
            *([_spread_cell(line.chosen_by)] if valid else []),
            *(_spread_cell(line.metrics[task].get(key)) for key in metrics),
            *(_difference_cell(found, line, task, key) for key in compared),
        ]
        for line in found.lines
        if task in line.metrics
    ]
    columns = _name_columns(found) + "r" * (len(head) - len(_name_columns(found)))
    return f"<section><h2>{text(f'{task} on {found.split}')}</h2>{table(head, columns, rows)}</section>\n"


def _name_head(found: Board) -> list[str]:
    """Of the rank and the settings: one column each, or one of words for many."""
    return ["", "settings"] if len(found.keys) > _SETTINGS else ["", *short_names(found.keys)]


def _name_columns(found: Board) -> str:
    return "rw" if len(found.keys) > _SETTINGS else "r" + "n" * len(found.keys)


def _name_cells(found: Board, line: Line) -> list[str]:
    rank = str(1 + found.lines.index(line))
    if len(found.keys) > _SETTINGS:
        return [rank, text(short_words(found, line))]
    return [rank, *(text(setting(line, key)) for key in found.keys)]


def _spread_cell(found: Spread | None) -> str:
    interval = "" if found is None else formats.interval({"value": found.mean, "low": found.low, "high": found.high})
    return f"{text(spread(found, narrow=True))}{f'<small>{text(interval)}</small>' if interval else ''}"


def _difference_cell(found: Board, line: Line, task: str, key: str) -> str:
    entry = line.against.get(task, {}).get(key)
    if entry is None:
        return "" if line is found.reference else "<small>not paired</small>"
    interval = f"[{entry['low']:+.4f}, {entry['high']:+.4f}]"
    style = {"better": "done", "worse": "failed"}.get(entry["verdict"], "muted")
    return f'<span class="{style}">{entry["difference"]:+.4f}</span><small>{text(interval)}</small>'


def _verdicts(found: Board) -> str:
    told = "".join(f"<li>{text(sentence)}</li>" for sentence in sentences(found))
    is_open = ' open=""' if len(found.others) <= 12 else ""
    details = f"<details{is_open}><summary>In words</summary><ul>{told}</ul></details>"
    return f"<section><h2>{text(against(found))}</h2>{details}</section>\n" if told else ""


def _expected(found: Board) -> str:
    rows = [[*map(text, of.cells()[:-1]), _within(of.is_met), text(of.folder)] for of in expectations(found)]
    if not rows:
        return ""
    return f"<section><h2>Expected</h2>{table([*HEAD, 'folder'], 'hrrll', rows)}</section>\n"


def _within(is_met: bool) -> str:
    return '<span class="done">within</span>' if is_met else '<span class="failed">OUTSIDE</span>'


def _costs(found: Board) -> str:
    head = [*_name_head(found), "training", "in all", "speed", "parameters", "peak memory"]
    rows = [[*_name_cells(found, line), *map(text, costs(line))] for line in found.lines]
    body = table(head, _name_columns(found) + "r" * 5, rows)
    return f'<section><h2>Cost</h2>{body}<p class="muted">Means over the runs of a configuration.</p></section>\n'


# Pictures


def _knobs(found: Board) -> str:
    figures = knob_charts(found)
    if not figures:
        return ""
    return (
        f'<section><h2>Effect of each setting</h2><div class="charts">{figures}</div><p class="muted">A dot is a '
        "configuration, the bar the mean over those of the value: where settings were not crossed with each other it "
        "tells of all that came with the value.</p></section>\n"
    )


def _curves(found: Board) -> str:
    figures = [_curve(found, task, key) for task in found.tasks for key in _CURVES]
    if not any(figures):
        return ""
    more = " Those behind the first eight are grey." if len(found.lines) > _COLOURS else ""
    return (
        f'<section><h2>Learning curves</h2><div class="charts">{"".join(figures)}</div><p class="muted">A line a run, '
        f"coloured by its configuration.{more}</p></section>\n"
    )


def _curve(found: Board, task: str, key: str) -> str:
    drawn = [(rank, _points(line, task, key)) for rank, line in enumerate(found.lines, 1)]
    values = [y for _, points in drawn for _, y in points if y is not None]
    if not values:
        return ""
    last = max(x for _, points in drawn for x, _ in points)
    series = [_series(found, rank, points) for rank, points in drawn if points]
    title, y = f"Validation {metric_name(key)}, {task}", charts.linear_axis(metric_name(key), values)
    x = charts.axis_from_zero("step", max(last, 1))
    return charts.line_chart(title, x, y, series[::-1], told=series[:_COLOURS])  # the best is drawn last, on top


def _series(found: Board, rank: int, points: list) -> Series:
    style = f"c{rank}" if rank <= _COLOURS else "behind"
    words = found.lines[rank - 1].configuration.words
    return Series(f"{rank} {words}", f"{style} whole", points, dots=len(points) <= 40)  # a lone point has no line


def _points(line: Line, task: str, key: str) -> list[tuple[float, float | None]]:
    """Of one run after the other, with a gap between them."""
    points: list[tuple[float, float | None]] = []
    for report in line.configuration.runs.values():
        own = [(p["step"], (p.get("valid") or {}).get(task, {}).get(key)) for p in report.get("history") or []]
        points += [*own, (own[-1][0], None)] if own else []
    return points


# The runs


def _failures(found: Board) -> str:
    if not found.failures:
        return ""
    rows = [[text(f.folder), text(f.words), text(f.status), text(f.error)] for f in found.failures]
    body = table(["folder", "settings", "status", "error"], "llll", rows)
    title = "Pruned" if all(failure.status == "pruned" for failure in found.failures) else "Not done"
    return f"<section><h2>{text(title)}</h2>{body}</section>\n"


def _folders(found: Board) -> str:
    rows = [
        [*_name_cells(found, line), text(str(report.get("seed"))), text(folder)]
        for line in found.lines
        for folder, report in line.configuration.runs.items()
    ]
    body = table([*_name_head(found), "seed", "folder"], _name_columns(found) + "rl", rows)
    return f"<details><summary>{formats.counted(len(rows), 'run')}</summary>{body}</details>\n"
