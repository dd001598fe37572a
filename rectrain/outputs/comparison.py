"""A leaderboard on the terminal: a table of metrics a task, one of costs, and the verdicts in words."""

import textwrap

from rectrain.outputs import formats
from rectrain.outputs.expectations import HEAD, expectations
from rectrain.outputs.formats import metric_name
from rectrain.outputs.leaderboard import Board, Failure, Line, Spread
from rectrain.outputs.summary import Page, aligned, table_width
from rectrain.outputs.verdict import sentences

METRICS = ("auc", "logloss", "mse", "r2")
_FEWEST = 24  # characters of a configuration's words
_MOST_VERDICTS = 12
_LONGEST_ERROR = 200


def comparison(found: Board, page: Page) -> str:
    tables = [_metrics_table(page, found, task) for task in found.tasks]
    order = textwrap.wrap(page.text(how(found)), page.width)
    blocks = [order, *tables, _costs_table(page, found), _verdicts(page, found), _expected(page, found)]
    blocks.append(_failures(page, found.failures))
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def how(found: Board) -> str:
    """What the order is, and of which rows the figures are."""
    if found.monitor is None:
        return (
            f"In the order of the runs: no validation metric has chosen all of them. Figures: {found.split} split; "
            "mean ± standard deviation over seeds, of one run its 95 % interval over rows."
        )
    rows = (
        "the test split, which chose nothing"
        if found.split == "test"
        else "the validation split itself, so those of the best flatter it"
        if found.split == "valid"
        else "the training split"
    )
    return (
        f"Chosen on validation: in the order of {found.monitor}. Reported on {rows}: mean ± standard deviation over "
        "seeds, of one run its 95 % interval over rows."
    )


def _metrics_table(page: Page, found: Board, task: str) -> list[str]:
    """With as many metrics as the width has room for."""
    metrics = [key for key in METRICS if key in found.metrics(task)]
    lines = [line for line in found.lines if task in line.metrics]
    layouts = [metrics[:number] for number in range(len(metrics), 0, -1)]
    tables = (_metrics_cells(page, found, task, lines, layout) for layout in layouts)
    cells = next((table for table in tables if table_width(table) <= page.width), None)
    if cells is None:
        cells = _metrics_cells(page, found, task, lines, metrics[:1], in_words=True)
    return _painted(page, f"{task} on {found.split}", cells)


def _metrics_cells(page, found: Board, task: str, lines: list[Line], metrics: list[str], in_words=False) -> list:
    head = ["runs", f"valid {found.monitor}" if found.monitor else "valid", *map(metric_name, metrics)]
    figures = [
        [
            str(len(line.configuration.runs)),
            page.text(spread(line.chosen_by, narrow=True)),
            *(page.text(spread(line.metrics[task].get(key))) for key in metrics),
        ]
        for line in lines
    ]
    return _cells(page, found, lines, head, figures, in_words)


def _costs_table(page: Page, found: Board) -> list[str]:
    head = ["training", "in all", "speed", "parameters", "memory"]
    figures = [costs(line) for line in found.lines]
    cells = _cells(page, found, found.lines, head, figures, False)
    if table_width(cells) > page.width:
        cells = _cells(page, found, found.lines, head, figures, True)
    return _painted(page, "cost, means over runs", cells)


def costs(line: Line) -> list[str]:
    return [
        formats.duration(line.costs["train_seconds"]),
        formats.duration(line.costs["total_seconds"]),
        formats.rate(line.costs["train_rows_per_s"]),
        formats.count(line.costs["parameters"]),
        formats.size(line.costs["peak_rss_bytes"]),
    ]


def spread(found: Spread | None, narrow: bool = False) -> str:
    """`0.7512 ± 0.0009`, of one run `0.7512 [0.7408, 0.7613]`."""
    if found is None:
        return formats.MISSING
    mean = formats.metric(found.mean)
    if found.sd is not None:
        return f"{mean} ± {found.sd:.{formats.decimals(found.mean)}f}"
    interval = "" if narrow else formats.interval({"value": found.mean, "low": found.low, "high": found.high})
    return formats.join([mean, interval], " ")


def _cells(page: Page, found: Board, lines: list[Line], head: list[str], figures: list, in_words: bool) -> list:
    """With a column for each key that sets configurations apart, or `in_words` with one for all of them."""
    ranks = [str(1 + found.lines.index(line)) for line in lines]
    if in_words or not found.keys:
        rest = [["", "", *head], *([rank, "", *numbers] for rank, numbers in zip(ranks, figures, strict=True))]
        room = max(page.width - table_width(rest), _FEWEST)
        names, settings = [""], [[page.clip(short_words(found, line), room)] for line in lines]
    else:
        names = short_names(found.keys)
        settings = [[page.text(setting(line, key)) for key in found.keys] for line in lines]
    rows = zip(ranks, settings, figures, strict=True)
    return [["", *names, *head], *([rank, *told, *numbers] for rank, told, numbers in rows)]


def _painted(page: Page, title: str, cells: list[list[str]]) -> list[str]:
    top, *rows = aligned(cells)
    return [page.paint(page.text(title), "title"), page.paint(top, "head"), *rows]


def setting(line: Line, key: str) -> str:
    settings = line.configuration.settings
    told = formats.short_value(settings[key]) if key in settings else ""
    is_first = key == next(iter(settings), None)
    return f"{told} (baseline)" if line.configuration.is_baseline and is_first else told


def short_words(found: Board, line: Line) -> str:
    """As Configuration.words, with names cut short."""
    names = zip(short_names(found.keys), found.keys, strict=True)
    told = [f"{name}={setting(line, key)}" for name, key in names if key in line.configuration.settings]
    return " ".join(told) or line.configuration.words


def short_names(keys: list[str]) -> list[str]:
    """Last parts of dotted keys, where those tell them apart."""
    last = [key.rpartition(".")[2] for key in keys]
    return [name if last.count(name) == 1 else key for name, key in zip(last, keys, strict=True)]


def _verdicts(page: Page, found: Board) -> list[str]:
    told = sentences(found)
    if not told:
        return []
    shown = [line for sentence in told[:_MOST_VERDICTS] for line in _wrapped(page, sentence)]
    more = [f"and {len(told) - _MOST_VERDICTS} more in the page (output=F.html)"] if len(told) > _MOST_VERDICTS else []
    title = textwrap.wrap(page.text(against(found)), page.width, break_on_hyphens=False)
    return [*(page.paint(line, "title") for line in title), *shown, *more]


def _wrapped(page: Page, sentence: str) -> list[str]:
    """Folders stay whole, to be copied."""
    return textwrap.wrap(
        page.text(sentence), page.width, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
    )


def against(found: Board) -> str:
    """`Against model=lr, row by row on test`"""
    paired = sum(bool(line.against) for line in found.others)
    several = f"; the {paired} intervals hold together" if paired > 1 else ""
    seeds = (
        "" if any(len(line.configuration.runs) > 1 for line in found.lines) else "; of these runs, not of other seeds"
    )
    return f"Against {found.reference.configuration.words}, row by row on {found.split}{several}{seeds}"


def _expected(page: Page, found: Board) -> list[str]:
    met = expectations(found)
    if not met:
        return []
    top, *rows = aligned([list(HEAD), *([page.text(cell) for cell in of.cells()] for of in met)])
    return [
        page.paint(top, "head"),
        *(row if of.is_met else page.paint(row, "failed") for row, of in zip(rows, met, strict=True)),
    ]


def _failures(page: Page, failures: list[Failure]) -> list[str]:
    pruned = [failure for failure in failures if failure.status == "pruned"]
    others = [failure for failure in failures if failure.status != "pruned"]
    blocks = [
        _listed(page, page.paint("not done", "failed"), others),
        _listed(page, page.paint("pruned", "title"), pruned),
    ]
    return [line for block in blocks for line in block]


def _listed(page: Page, title: str, failures: list[Failure]) -> list[str]:
    lines = [title] if failures else []
    for failure in failures:
        what = formats.join([failure.folder, failure.words], " ")
        status = "" if failure.status == "pruned" else f" ({failure.status})"
        told = page.clip(f"{what}{status}: {failure.error}", _LONGEST_ERROR)
        lines += _wrapped(page, told)
    return lines
