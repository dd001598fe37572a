"""report.html: one file without script or outside links, made from the report's dict alone.

The page is also well-formed XML. What an engineer asks first comes first: how good, on which split, how sure; then how
training went, what the data were, what the run cost, and how to run it again.
"""

import math
from collections.abc import Callable, Iterable

from rectrain.outputs import formats
from rectrain.outputs.charts import axis_from_zero, text
from rectrain.outputs.figures import calibration_chart, history_chart, loss_chart, roc_chart
from rectrain.outputs.formats import MISSING, metric_name, split_names, task_names
from rectrain.outputs.online_report import stream_section
from rectrain.outputs.style import CSS

CARD_METRICS = ("auc", "logloss", "ne", "pcoc")
NUMBER_METRICS = ("mse", "r2")
TABLE_METRICS = (*CARD_METRICS, "gauc", "pr_auc", *NUMBER_METRICS)
CURVE_METRICS = ("auc", "logloss", *NUMBER_METRICS)
MEANINGS = {
    "AUC": "chance that a random positive is scored above a random negative; exact, from ranks. 0.5 is chance.",
    "logloss": "mean of -ln(probability given to what happened).",
    "NE": "normalized entropy: logloss over that of always predicting the base rate. Below 1 is better than that.",
    "PCOC": "predicted positives over observed ones. 1 is calibrated, above 1 predicts too many.",
    "GAUC": "AUC within each group, averaged by the groups' rows.",
    "PR-AUC": "area under the precision-recall curve; the base rate is chance.",
    "MSE": "mean squared error of a predicted number.",
    "R2": "share of the label's variance that the predictions explain.",
}


def render_html(report: dict, sections: Iterable[Callable[[dict], str]] | None = None) -> str:
    """The whole page, of all SECTIONS or of these. Parts that the report does not have are left out."""
    return page(formats.title(report), "".join(section(report) for section in sections or SECTIONS))


def page(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{text(title)}</title><style>{CSS}</style></head>\n<body><main>\n{body}</main></body></html>\n"
    )


def header(report: dict) -> str:
    status = report["status"]
    device, seed = report.get("device"), report.get("seed")
    facts = [
        moment(report.get("started") or ""),
        formats.duration((report.get("seconds") or {}).get("total")),
        str(device or ""),
        "" if seed is None else f"seed {seed}",
    ]
    return (
        f'<header><div class="heading"><h1>{text(formats.title(report))}</h1>'
        f'<span class="status {text(status)}">{text(status)}</span></div>'
        f'<p class="facts">{text(formats.join(f for f in facts if f != MISSING))}</p></header>\n'
    )


def moment(iso: str) -> str:
    """`2026-02-03 12:34:56 UTC`."""
    return iso.replace("T", " ", 1).replace("+00:00", " UTC").replace("Z", " UTC")


def status_banner(report: dict) -> str:
    """What stopped a run that did not come to its end."""
    if report["status"] == "done":
        return ""
    failed = report["status"] == "failed"
    said, style = ("The run failed.", "banner alarm") if failed else ("The run was stopped before its end.", "banner")
    steps = report.get("steps")
    after = f" It had done {formats.counted(steps, 'step')}." if steps is not None else ""
    reason = report.get("error") or report.get("stopped_because")
    pre = f"<pre>{text(reason)}</pre>" if reason else ""
    return f'<div class="{style}"><strong>{said}</strong>{after}{pre}</div>\n'


def sample_banner(report: dict) -> str:
    data = report.get("data") or {}
    if data.get("source") != "sample":
        return ""
    sample = data.get("sample") or {}
    known = [
        f"{name} {formats.metric(sample[key])}"
        for key, name in (("bayes_auc", "AUC"), ("bayes_logloss", "logloss"))
        if sample.get(key) is not None
    ]
    best = f" The best any model can reach on it (Bayes): {text(', '.join(known))}." if known else ""
    return (
        f'<p class="banner"><strong>Built-in sample.</strong> These rows are drawn from a known truth in the layout of '
        f"{text(data.get('name'))}; they are not its real data.{best}</p>\n"
    )


# How good


def verdict(report: dict) -> str:
    """Cards for the last split there is: test, else valid, else train; or for all rows of an online run."""
    metrics, splits = report.get("metrics") or {}, split_names(report, "metrics")
    if not splits:
        return "" if report["status"] == "failed" else '<p class="muted">No evaluation was made.</p>'
    split = splits[-1]
    where = "before each row was learned from" if split == "progressive" else f"on the {split} split"
    return "".join(
        f"<section><h2>{text(f'{task} {where}')}</h2>{counted_rows(entry)}{cards(report, entry)}</section>\n"
        for task, entry in metrics[split].items()
    )


def counted_rows(entry: dict) -> str:
    """The rows that count for the task."""
    if entry.get("positives") is None or entry.get("rows") is None:
        return ""
    rows, positives = formats.counted(entry["rows"], "row"), formats.count(entry["positives"])
    return f'<p class="muted">{text(rows)}, {text(positives)} positive</p>'


def cards(report: dict, entry: dict) -> str:
    keys = [key for key in (*CARD_METRICS, *NUMBER_METRICS) if key in entry]
    return f'<div class="cards">{"".join(card(report, key, entry[key]) for key in keys)}</div>'


def card(report: dict, key: str, entry: dict) -> str:
    missing = entry.get("value") is None
    lines = [formats.interval(entry), entry.get("reason") if missing else remark(report, key, entry)]
    small = "".join(f'<dd class="small muted">{text(line)}</dd>' for line in lines if line)
    value = f'<dd class="value">{text(formats.metric(entry.get("value")))}</dd>'
    return f'<dl class="card"><dt>{text(metric_name(key))}</dt>{value}{small}</dl>'


def remark(report: dict, key: str, entry: dict) -> str:
    """What the number says, in words."""
    value = entry["value"]
    if key == "ne":
        return f"{100 * abs(1 - value):.1f} % {'below' if value <= 1 else 'above'} the base rate's logloss"
    if key == "pcoc":
        return f"predicts {100 * abs(value - 1):.1f} % too {'many' if value >= 1 else 'few'} positives"
    bayes = ((report.get("data") or {}).get("sample") or {}).get(f"bayes_{key}")
    known = "" if bayes is None else f"Bayes {formats.metric(bayes)}"
    return formats.join(["95 % interval" if formats.interval(entry) else "", known], "; ")


def metric_tables(report: dict) -> str:
    metrics, splits = report.get("metrics") or {}, split_names(report, "metrics")
    if not splits:
        return ""
    tasks = "".join(task_table(metrics, splits, task) for task in task_names(metrics))
    meanings = "".join(f"<dt>{name}</dt><dd>{meaning}</dd>" for name, meaning in MEANINGS.items())
    return (
        f'<section><h2>Metrics by split</h2><div class="columns">{tasks}</div><details>'
        f'<summary>What they mean</summary><dl class="definitions">{meanings}</dl></details></section>\n'
    )


def task_table(metrics: dict, splits: list[str], task: str) -> str:
    entries = [metrics[split].get(task) or {} for split in splits]
    rows = [[name, *(metric_cell(e.get(key) or {}) for e in entries)] for key, name in named(entries)]
    counts = [key for key in ("rows", "positives") if any(key in entry for entry in entries)]
    rows += [[key, *(formats.count(entry.get(key)) for entry in entries)] for key in counts]
    return table([task, *splits], "h" + "r" * len(splits), rows)


def named(entries: list[dict]) -> list[tuple[str, str]]:
    """Metrics that any of the entries holds, with their names."""
    return [(key, metric_name(key)) for key in TABLE_METRICS if any(key in entry for entry in entries)]


def metric_cell(entry: dict) -> str:
    reason = entry.get("reason") if entry.get("value") is None else None
    below = f'<small class="reason">{text(reason)}</small>' if reason else ""
    interval = formats.interval(entry)
    below = f"<small>{text(interval)}</small>" if interval else below
    return f"{formats.metric(entry.get('value'))}{below}"


def table(head: Iterable, columns: str, rows: Iterable[Iterable[str]]) -> str:
    """A <table> that scrolls sideways on a narrow screen.

    Args:
        head: text, one a column.
        columns: one letter a column: h a row's heading, l left, w left and wide, n left in one line, r right.
        rows: cells as HTML.
    """
    top = "".join(f'<th class="{align}">{text(cell)}</th>' for cell, align in zip(head, columns, strict=True))
    lines = "".join(f"<tr>{table_row(columns, row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>'


def table_row(columns: str, row: Iterable[str]) -> str:
    cells = zip(columns, row, strict=True)
    return "".join(f"<th>{cell}</th>" if align == "h" else f'<td class="{align}">{cell}</td>' for align, cell in cells)


# How training went


def learning_curves(report: dict) -> str:
    history, losses = report.get("history") or [], report.get("losses") or []
    if not history and not losses:
        return ""
    last = max([point["step"] for point in history] + [step for step, _ in losses])
    x = axis_from_zero("step", max(last, 1))
    tasks = list(dict.fromkeys(task for point in history for task in point.get("valid") or {}))
    figures = [loss_chart(losses, x)]
    figures += [history_chart(report, task, key, x) for task in tasks for key in CURVE_METRICS]
    because = report.get("stopped_because")
    end = f"<p>Training ended: {text(because)}.</p>" if because and report["status"] == "done" else ""
    shown = f'<div class="charts">{"".join(figures)}</div>{evaluations(history, tasks)}'
    return f"<section><h2>Learning curves</h2>{end}{shown}</section>\n"


def evaluations(history: list, tasks: list[str]) -> str:
    """The curves as a table."""
    if not history:
        return ""
    held = {(task, key) for point in history for task, found in (point.get("valid") or {}).items() for key in found}
    columns = [(task, key) for task in tasks for key in CURVE_METRICS if (task, key) in held]
    head = ["step", "epoch", "time", "learning rate", "training loss"]
    head += [f"{task} {metric_name(key)}" for task, key in columns]
    rows = [evaluation_row(point, columns) for point in history]
    noun = formats.counted(len(history), "evaluation")
    return f"<details><summary>{noun} as a table</summary>{table(head, 'r' * len(head), rows)}</details>"


def evaluation_row(point: dict, columns: list) -> list[str]:
    epoch, valid = point.get("epoch"), point.get("valid") or {}
    return [
        formats.count(point["step"]),
        MISSING if epoch is None else f"{epoch:.4g}",
        formats.duration(point.get("seconds")),
        text(learning_rate(point.get("learning_rate"))),
        formats.metric(point.get("train_loss")),
        *(formats.metric(valid.get(task, {}).get(key)) for task, key in columns),
    ]


def learning_rate(rates: float | dict | None) -> str:
    """One rate, or one for each group of weights, named where there are several."""
    if not isinstance(rates, dict):
        return MISSING if rates is None else f"{rates:.3g}"
    named_rates = [(name, learning_rate(rate)) for name, rate in rates.items()]
    return ", ".join(f"{name} {rate}" if len(rates) > 1 else rate for name, rate in named_rates)


def gates_section(report: dict) -> str:
    """Which experts each gate listens to, at the best step."""
    points = [point for point in report.get("history") or [] if point.get("gates")]
    if not points:
        return ""
    best_step = (report.get("best") or {}).get("step")
    point = next((point for point in points if point["step"] == best_step), points[-1])
    gates, most = point["gates"], max(len(gate["load"]) for gate in point["gates"].values())
    head = ["gate", "entropy", *(f"expert {e}" for e in range(1, most + 1))]
    body = table(head, "h" + "r" * (most + 1), [gate_row(name, gate, most) for name, gate in gates.items()])
    return (
        f'<section><h2>Experts</h2>{body}<p class="muted">Mean weight of each expert at step '
        f"{formats.count(point['step'])}, over rows of the validation split. Entropy as a share of its maximum: 100 % "
        "listens to all experts alike, 0 % to one.</p></section>\n"
    )


def gate_row(name: str, gate: dict, num_columns: int) -> list[str]:
    most = math.log(len(gate["load"]))
    loads = [formats.percent(load) for load in gate["load"]]
    entropy = formats.percent(gate["entropy"] / most) if most else MISSING
    return [text(name), entropy, *loads, *[MISSING] * (num_columns - len(loads))]


def score_curves(report: dict) -> str:
    """ROC and calibration of each task."""
    curves = report.get("curves") or {}
    pairs = [roc_chart(report, task) + calibration_chart(report, task) for task in task_names(curves)]
    if not any(pairs):
        return ""
    figures = "".join(f'<div class="charts pair">{pair}</div>' for pair in pairs)
    return (
        f'<section><h2>Ranking and calibration</h2>{figures}<p class="muted">Calibration: each point is a bin of rows '
        "with like scores, at its mean score and observed rate. On the dotted line the two agree; "
        "on logarithmic axes a rate of 0 sits on the lower edge.</p></section>\n"
    )


# What the data were


def data_section(report: dict) -> str:
    data = report.get("data") or {}
    rows = data.get("rows") or {}
    if not rows:
        return ""
    tasks = task_names(data.get("positives"))
    head = ["split", "rows", *(f"{task} {what}" for task in tasks for what in ("positives", "rate"))]
    lines = [split_row(report, split, tasks) for split in split_names(data, "rows")]
    manifest = data.get("manifest")
    source = f'<p class="muted">Prepared data: <code>{text(manifest)}</code></p>' if manifest else ""
    rows_table = table(head, "l" + "r" * (len(head) - 1), lines)
    return f"<section><h2>Data</h2>{rows_table}{source}{features(data.get('features') or [])}</section>\n"


def split_row(report: dict, split: str, tasks: list[str]) -> list[str]:
    data = report["data"]
    cells = [text(split), formats.count(data["rows"][split])]
    for task in tasks:
        positives = (data["positives"].get(split) or {}).get(task)
        cells += [formats.count(positives), base_rate(report, split, task, positives)]
    return cells


def base_rate(report: dict, split: str, task: str, positives: int | None) -> str:
    """Positives of the rows that count for the task; before an evaluation, of all rows."""
    metrics = (((report.get("metrics") or {}).get(split) or {}).get(task)) or {}
    rows = metrics.get("rows") or report["data"]["rows"][split]
    return formats.percent(positives / rows if rows and positives is not None else None)


def features(rows: list[dict]) -> str:
    if not rows:
        return ""
    kinds = [str(f.get("kind")) for f in rows]
    summary = ", ".join(f"{kinds.count(kind)} {kind.replace('_', '-')}" for kind in dict.fromkeys(kinds))
    table_rows = sum(f.get("num_rows") or 0 for f in rows)
    head = ["feature", "kind", "table rows", "encoding"]
    body = table(head, "llrl", [feature_row(f) for f in rows])
    is_open = ' open=""' if len(rows) <= 12 else ""
    return (
        f"<details{is_open}><summary>{formats.counted(len(rows), 'feature')}: {text(summary)}; "
        f"{formats.count(table_rows)} table rows</summary>{body}</details>"
    )


def feature_row(feature: dict) -> list[str]:
    kind = str(feature.get("kind")).replace("_", "-")
    words = [text(feature["name"]), text(kind)]
    return [*words, formats.count(feature.get("num_rows")), text(encoding(feature.get("encoding")))]


def encoding(value) -> str:
    """`transform: log1p, min_count: 10`; lists longer than a few values by their length."""
    if not isinstance(value, dict):
        return str(value or "")
    return ", ".join(f"{key}: {short(item)}" for key, item in value.items())


def short(value) -> str:
    long = isinstance(value, list | dict) and len(value) > 4
    return f"{len(value)} values" if long else formats.inline_yaml(value)


# What it cost, and how to run it again


def cost_section(report: dict) -> str:
    return f'<section><h2>Model and cost</h2><div class="columns">{facts(report)}{phases(report)}</div></section>\n'


def facts(report: dict) -> str:
    parameters = report.get("parameters") or {}
    speed = report.get("throughput") or {}
    split = formats.join(f"{k} {formats.count(parameters[k])}" for k in ("embedding", "dense") if k in parameters)
    pairs = {
        "model": report["model"],
        "parameters": formats.join([formats.count(parameters.get("total")), split and f"({split})"], " "),
        "steps": formats.count(report.get("steps")),
        "repeated": formats.repeated(report),
        "training": formats.rate(speed.get("train_rows_per_s")),
        "evaluation": formats.rate(speed.get("eval_rows_per_s")),
        "peak memory": formats.size((report.get("memory") or {}).get("peak_rss_bytes")),
        "device": report.get("device"),
        "weights sha256": report.get("weights_sha256"),
    }
    return f"<div>{definitions(pairs)}</div>"


def definitions(pairs: dict) -> str:
    """Names and values; what is not known is left out."""
    known = {name: value for name, value in pairs.items() if value not in (None, "", MISSING)}
    items = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in known.items())
    return f'<dl class="definitions">{items}</dl>' if items else ""


def phases(report: dict) -> str:
    """Time by phase, with bars."""
    seconds = {name: s for name, s in (report.get("seconds") or {}).items() if s is not None}
    total = seconds.get("total") or sum(seconds.values())
    if not total:
        return ""
    rows = [phase_row(name, s, s / total) for name, s in seconds.items() if name != "total"]
    rows.append(["total", formats.duration(total), ""])
    return f"<div>{table(['phase', 'time', ''], 'lrl', rows)}</div>"


def phase_row(name: str, seconds: float, share: float) -> list[str]:
    bar = f'<span class="room"><span class="share" style="width: {100 * min(share, 1):.1f}%"></span></span>'
    return [text(name), formats.duration(seconds), bar]


def again_section(report: dict) -> str:
    command, config = report.get("command"), report.get("config")
    versions = {**(report.get("versions") or {}), "git": report.get("git")}
    run = f'<pre class="command">{text(command)}</pre>' if command else ""
    block = f"<details><summary>Config</summary><pre>{text(formats.as_yaml(config))}</pre></details>" if config else ""
    return f"<section><h2>Run it again</h2>{run}{block}{definitions(versions)}</section>\n"


SECTIONS = (
    header,
    status_banner,
    sample_banner,
    verdict,
    metric_tables,
    stream_section,
    learning_curves,
    gates_section,
    score_curves,
    data_section,
    cost_section,
    again_section,
)
