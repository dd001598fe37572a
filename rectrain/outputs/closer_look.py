"""What `rectrain evaluate` shows besides metrics: checkpoints side by side, slices, what features are worth."""

from rectrain.outputs import formats
from rectrain.outputs.charts import text
from rectrain.outputs.formats import metric_name
from rectrain.outputs.html import metric_cell, table
from rectrain.outputs.summary import Page, aligned, cell

_SHOWN = 20  # slices or features of a table of the page
_SHOWN_ON_TERMINAL = 5
_METRICS = ("auc", "logloss", "pcoc", "mse")


def checkpoints_section(report: dict) -> str:
    found = report.get("checkpoints") or []
    if len(found) < 2:
        return ""
    rows = [
        [formats.count(of["step"]), text(task), *(metric_cell(entry[key]) for key in _keys(entry))]
        for of in found
        for task, entry in of["metrics"].items()
    ]
    entry = next(iter(found[0]["metrics"].values()))
    head = ["step", "task", *map(metric_name, _keys(entry))]
    return f"<section><h2>Checkpoints</h2>{table(head, 'rl' + 'r' * (len(head) - 2), rows)}</section>\n"


def slices_section(report: dict) -> str:
    parts = [
        slices_table(feature, task, found)
        for feature, tasks in (report.get("slices") or {}).items()
        for task, found in tasks.items()
    ]
    if not parts:
        return ""
    return (
        '<section><h2>Slices</h2><p class="muted">Metrics on the rows of each value of a feature, the worst first. '
        f"Small slices, whose figures say little, stand last.</p>{''.join(parts)}</section>\n"
    )


def slices_table(feature: str, task: str, found: dict) -> str:
    slices = found["slices"]
    if not slices:
        return f"<p><strong>{text(feature)}</strong>, {text(task)}: no value has enough rows.</p>"
    keys = list(slices[0]["metrics"])
    rows = [
        [
            f"{text(entry['value'])}{' <small>small</small>' if entry['small'] else ''}",
            formats.count(entry["rows"]),
            formats.count(entry.get("positives")),
            *(metric_cell(entry["metrics"][key]) for key in keys),
        ]
        for entry in slices[:_SHOWN]
    ]
    more = len(slices) - len(rows) + found["left_out"]
    note = f" ({formats.counted(more, 'value')} more)" if more else ""
    head = ["value", "rows", "positives", *map(metric_name, keys)]
    columns = "l" + "r" * (len(head) - 1)
    return f"<p><strong>{text(feature)}</strong>, {text(task)}{note}</p>{table(head, columns, rows)}"


def importance_section(report: dict) -> str:
    found = report.get("importance") or []
    if not found:
        return ""
    tasks = list(found[0]["tasks"])
    largest = max((t["value"] or 0 for e in found for t in e["tasks"].values()), default=0) or 1
    rows = [
        [text(e["feature"]), *(c for task in tasks for c in _loss_cells(e["tasks"][task], largest))]
        for e in found[:_SHOWN]
    ]
    head = ["feature", *(h for task in tasks for h in (task, ""))]
    more = f" {formats.counted(len(found) - _SHOWN, 'feature')} more matter less." if len(found) > _SHOWN else ""
    return (
        '<section><h2>What features are worth</h2><p class="muted">AUC (of a number: mean squared error) that is lost '
        f"where the feature alone is shuffled among the rows.{more}</p>"
        f"{table(head, 'l' + 'rl' * len(tasks), rows)}</section>\n"
    )


def _loss_cells(entry: dict, largest: float) -> list[str]:
    share = 100 * max(entry["value"] or 0, 0) / largest
    bar = f'<span class="room"><span class="share" style="width: {share:.1f}%"></span></span>'
    return [metric_cell(entry), bar]


def _keys(entry: dict) -> list[str]:
    return [key for key in _METRICS if key in entry]


def closer_look(page: Page, found: dict) -> list[list[str]]:
    """The same for the terminal: blocks of lines."""
    blocks = []
    if len(found["checkpoints"]) > 1:
        blocks.append(_checkpoint_lines(page, found["checkpoints"]))
    for feature, tasks in found["slices"].items():
        blocks += [_slice_lines(page, feature, task, of_task) for task, of_task in tasks.items()]
    if found["importance"]:
        blocks.append(_importance_lines(page, found["importance"]))
    return blocks


def _checkpoint_lines(page: Page, checkpoints: list[dict]) -> list[str]:
    rows = [
        [f"{of['step']:,}", page.text(task), *(page.text(cell(entry[key], True)) for key in _keys(entry)[:2])]
        for of in checkpoints
        for task, entry in of["metrics"].items()
    ]
    entry = next(iter(checkpoints[0]["metrics"].values()))
    return _table(page, [["checkpoint", "task", *map(metric_name, _keys(entry)[:2])], *rows])


def _slice_lines(page: Page, feature: str, task: str, found: dict) -> list[str]:
    shown = [entry for entry in found["slices"] if not entry["small"]][:_SHOWN_ON_TERMINAL]
    if not shown:
        return page.labelled("slices", f"{feature}, {task}: no value has enough rows to say anything")
    keys = list(shown[0]["metrics"])[:2]
    rows = [
        [page.clip(e["value"], 32), f"{e['rows']:,}", *(page.text(cell(e["metrics"][key], True)) for key in keys)]
        for e in shown
    ]
    return _table(page, [[f"{page.clip(feature, 24)}, {task}: worst", "rows", *map(metric_name, keys)], *rows])


def _importance_lines(page: Page, found: list[dict]) -> list[str]:
    tasks = list(found[0]["tasks"])
    rows = [
        [page.clip(e["feature"], 32), *(page.text(cell(e["tasks"][task], True)) for task in tasks)]
        for e in found[: 2 * _SHOWN_ON_TERMINAL]
    ]
    return _table(page, [["without it", *(f"{task} loses" for task in tasks)], *rows])


def _table(page: Page, rows: list[list[str]]) -> list[str]:
    head, *others = aligned(rows)
    return [page.paint(head, "head"), *others]
