"""Line charts as inline SVG: no script, no ids, colours from the page's style sheet.

A chart is drawn in a box of WIDTH units that scales with the page; on a page of its usual width one unit is a pixel.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from rectrain.outputs.formats import printable

WIDTH = 400
LEFT, RIGHT, TOP, BOTTOM = 70, 22, 24, 46  # margins around the plot
MAX_POINTS = 240  # of one line; more cannot be told apart


@dataclass(frozen=True)
class Axis:
    label: str
    low: float
    high: float
    ticks: list[float]
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies between low (0) and high (1); what lies beyond sits on the edge."""
        if self.log:
            if value <= 0:
                return 0.0
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, share))


@dataclass(frozen=True)
class Series:
    """One line. A y of None is a gap."""

    name: str
    style: str  # CSS class
    points: Sequence[tuple[float, float | None]]
    bars: Sequence[tuple[float, float, float]] = field(default=())  # x, low, high
    dots: bool = False
    notes: Sequence[str] = field(default=())  # shown when the pointer rests on a dot


def line_chart(
    title: str, x: Axis, y: Axis, series: list[Series], *, square=False, diagonal=False, mark=None, told=None
) -> str:
    """A <figure> with a legend above the plot.

    Args:
        title: what the chart shows, also its text for screen readers.
        diagonal: draws y = x for comparison.
        mark: (x, text), a vertical line with its text above the plot.
        told: the lines that the legend shows; None: all of them.
    """
    plot = Plot(x, y, square)
    parts = [plot.grid(), plot.diagonal() if diagonal else "", plot.mark(*mark) if mark else ""]
    parts += [plot.bars(s) + plot.line(s) + plot.dots(s) for s in series]
    svg = (
        f'<svg role="img" viewBox="0 0 {WIDTH} {plot.height + TOP + BOTTOM}">'
        f"<title>{text(title)}: {text(', '.join(s.name for s in series))}</title>{''.join(parts)}</svg>"
    )
    return f"<figure><figcaption>{text(title)}</figcaption>{legend(series if told is None else told)}{svg}</figure>"


class Plot:
    """Places values on the page and draws the parts of one chart."""

    def __init__(self, x: Axis, y: Axis, square: bool):
        self.x, self.y = x, y
        self.width = WIDTH - LEFT - RIGHT
        self.height = self.width if square else 210

    def at(self, x: float, y: float) -> tuple[float, float]:
        return LEFT + self.x.share(x) * self.width, TOP + (1 - self.y.share(y)) * self.height

    def grid(self) -> str:
        bottom, right = TOP + self.height, LEFT + self.width
        parts = []
        for tick, label in zip(self.y.ticks, tick_labels(self.y.ticks), strict=True):
            _, v = self.at(self.x.low, tick)
            parts.append(segment("grid", LEFT, v, right, v) + label_at(LEFT - 7, v + 4, label, "end"))
        for tick, label in zip(self.x.ticks, tick_labels(self.x.ticks), strict=True):
            u, _ = self.at(tick, self.y.low)
            parts.append(segment("tick", u, bottom, u, bottom + 4) + label_at(u, bottom + 19, label, "middle"))
        parts.append(segment("axis", LEFT, bottom, right, bottom))
        parts.append(label_at(LEFT + self.width / 2, bottom + 40, self.x.label, "middle"))
        middle = TOP + self.height / 2
        parts.append(f'<g transform="rotate(-90 12 {middle:.1f})">{label_at(12, middle, self.y.label, "middle")}</g>')
        return "".join(parts)

    def diagonal(self) -> str:
        low, high = max(self.x.low, self.y.low), min(self.x.high, self.y.high)
        return segment("diagonal", *self.at(low, low), *self.at(high, high))

    def mark(self, x: float, label: str) -> str:
        u, _ = self.at(x, self.y.low)
        anchor = "start" if self.x.share(x) < 0.3 else "end" if self.x.share(x) > 0.7 else "middle"
        return segment("mark", u, TOP, u, TOP + self.height) + label_at(u, TOP - 7, label, anchor)

    def line(self, series: Series) -> str:
        commands, pen = [], "M"
        for x, y in series.points:
            if y is None:
                pen = "M"
                continue
            commands.append("{}{:.1f},{:.1f}".format(pen, *self.at(x, y)))
            pen = "L"
        return f'<path class="line {series.style}" d="{" ".join(commands)}"/>' if commands else ""

    def bars(self, series: Series) -> str:
        return "".join(
            segment(f"bar {series.style}", *self.at(x, low), *self.at(x, high)) for x, low, high in series.bars
        )

    def dots(self, series: Series) -> str:
        if not series.dots:
            return ""
        notes = series.notes or [""] * len(series.points)
        return "".join(
            self.dot(series.style, x, y, note)
            for (x, y), note in zip(series.points, notes, strict=True)
            if y is not None
        )

    def dot(self, style: str, x: float, y: float, note: str) -> str:
        u, v = self.at(x, y)
        return f'<circle class="dot {style}" cx="{u:.1f}" cy="{v:.1f}" r="3.2"><title>{text(note)}</title></circle>'


def legend(series: list[Series]) -> str:
    def item(s: Series) -> str:
        swatch = f'<svg class="swatch" viewBox="0 0 26 8" aria-hidden="true">{segment(f"line {s.style}", 0, 4, 26, 4)}'
        return f"<li>{swatch}</svg>{text(s.name)}</li>"

    return f'<ul class="legend">{"".join(map(item, series))}</ul>'


def segment(style: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def label_at(x: float, y: float, label: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text(label)}</text>'


def text(value) -> str:
    """Escaped for HTML and XML, attributes included."""
    return escape(printable(value))


def linear_axis(label: str, values: Iterable[float]) -> Axis:
    """Spans the values with a little room on both sides."""
    values = list(values)
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.01 * abs(high) or 1.0
    low, high = low - room, high + room
    return Axis(label, low, high, nice_ticks(low, high, 4))


def axis_from_zero(label: str, high: float) -> Axis:
    return Axis(label, 0, high, nice_ticks(0, high, 5))


def log_axis(label: str, values: Iterable[float]) -> Axis:
    """Spans the values, all above 0, by factors."""
    values = list(values)
    low, high = min(values) / 1.4, max(values) * 1.4
    return Axis(label, low, high, log_ticks(low, high), log=True)


def nice_ticks(low: float, high: float, num_ticks: int) -> list[float]:
    """About `num_ticks` values within [low, high], at steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / num_ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda m: abs(math.log(m * power / rough)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten within [low, high]; powers alone where that is too many."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inside = [(m, float(f"{m}e{e}")) for e in exponents for m in (1, 2, 5) if low <= float(f"{m}e{e}") <= high]
    return [tick for m, tick in inside if m == 1 or len(inside) <= 7]


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """All with one unit; thousands and millions are shortened."""
    largest = max(map(abs, ticks), default=0)
    unit, suffix = next(((u, s) for u, s in ((1e9, "G"), (1e6, "M"), (1e4, "k")) if largest >= u), (1, ""))
    unit = 1e3 if suffix == "k" else unit
    return [f"{tick / unit:.6g}{suffix if tick else ''}" for tick in ticks] if unit > 1 else even_labels(ticks)


def even_labels(ticks: Sequence[float]) -> list[str]:
    """As many decimals as the ticks need, the same for all unless they span powers of ten."""
    if len(ticks) > 1 and ticks[0] > 0 and ticks[-1] / ticks[0] >= 50:
        return [f"{tick:.0e}" if tick < 1e-4 else f"{tick:g}" for tick in ticks]
    places = max((len(f"{tick:.6f}".rstrip("0").partition(".")[2]) for tick in ticks), default=0)
    return [f"{tick:,.{places}f}" for tick in ticks]


def thin(points: Sequence, limit: int = MAX_POINTS) -> list:
    """At most `limit` of the points, evenly spaced, the first and last among them."""
    if len(points) <= limit:
        return list(points)
    return [points[round(k * (len(points) - 1) / (limit - 1))] for k in range(limit)]


def bin_means(
    points: Sequence[tuple[float, float | None]], limit: int = MAX_POINTS
) -> list[tuple[float, float | None]]:
    """At most `limit` points, each the mean of as many neighbours; a gap (None) stays one unless others fill it."""
    group = math.ceil(len(points) / limit) or 1
    return [mean_point(points[k : k + group]) for k in range(0, len(points), group)]


def mean_point(points: Sequence[tuple[float, float | None]]) -> tuple[float, float | None]:
    known = [y for _, y in points if y is not None]
    return points[-1][0], sum(known) / len(known) if known else None
