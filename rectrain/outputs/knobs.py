"""What each swept setting does to the validation metric, as a picture: a row a value, a dot a configuration."""

import statistics

from rectrain.outputs import formats
from rectrain.outputs.charts import LEFT, RIGHT, WIDTH, Axis, label_at, linear_axis, segment, text, tick_labels
from rectrain.outputs.leaderboard import Board, Line

_ROW = 44  # units from one value to the next
_MOST_VALUES = 12
_MARGIN = LEFT - RIGHT


def knob_charts(found: Board) -> str:
    """A figure for each key that sets configurations apart, where they were chosen by one metric."""
    lines = [line for line in found.lines if line.chosen_by is not None]
    if found.monitor is None or len(lines) < 2:
        return ""
    axis = linear_axis(f"valid {found.monitor}", [line.chosen_by.mean for line in lines if line.chosen_by])
    return "".join(_chart(key, _by_value(key, lines), axis) for key in found.keys)


def _by_value(key: str, lines: list[Line]) -> dict[str, list[Line]]:
    """Numbers rise, behind other values, which come as they did."""
    told = [(line.configuration.settings[key], line) for line in lines if key in line.configuration.settings]
    numbers = {value for value, _ in told if isinstance(value, int | float)}
    order = sorted(numbers)
    told.sort(key=lambda pair: order.index(pair[0]) if isinstance(pair[0], int | float) else -1)
    groups: dict[str, list[Line]] = {}
    for value, line in told:
        groups.setdefault(formats.inline_yaml(value), []).append(line)
    return groups


def _chart(key: str, groups: dict[str, list[Line]], axis: Axis) -> str:
    if not 1 < len(groups) <= _MOST_VALUES:
        return ""
    bottom = _ROW * len(groups) + 12
    rows = [_row(value, lines, axis, 12 + _ROW * i) for i, (value, lines) in enumerate(groups.items())]
    ticks = [
        segment("grid", _at(axis, tick), 6, _at(axis, tick), bottom)
        + label_at(_at(axis, tick), bottom + 18, label, "middle")
        for tick, label in zip(axis.ticks, tick_labels(axis.ticks), strict=True)
    ]
    parts = [*ticks, *rows, label_at(WIDTH / 2, bottom + 38, axis.label, "middle")]
    svg = f'<svg role="img" viewBox="0 0 {WIDTH} {bottom + 46}"><title>{text(key)}</title>{"".join(parts)}</svg>'
    return f"<figure><figcaption>{text(key)}</figcaption>{svg}</figure>"


def _at(axis: Axis, value: float) -> float:
    return _MARGIN / 2 + axis.share(value) * (WIDTH - _MARGIN)


def _row(value: str, lines: list[Line], axis: Axis, top: float) -> str:
    """The value's text, and below it its dots and their mean."""
    middle = top + 27
    means = [line.chosen_by.mean for line in lines if line.chosen_by is not None]
    dots = "".join(_dot(line, _at(axis, mean), middle) for line, mean in zip(lines, means, strict=True))
    mean = _at(axis, statistics.mean(means))
    name = f'<g class="value">{label_at(2, top + 13, value[:60], "start")}</g>'
    return (
        name + segment("axis", 0, middle, WIDTH, middle) + segment("line c1", mean, middle - 9, mean, middle + 9) + dots
    )


def _dot(line: Line, x: float, y: float) -> str:
    note = f"{line.configuration.words}: {formats.metric(line.chosen_by.mean if line.chosen_by else None)}"
    return f'<circle class="dot c1 quiet" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{text(note)}</title></circle>'
