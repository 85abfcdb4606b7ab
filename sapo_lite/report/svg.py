"""Plots as SVG without a plotting library: a grid of panels, each with axes, intervals and points."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from sapo_lite.support.foreign_text import visible

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _BOTTOM, _TOP, _GAP = 230, 170, 44, 8, 34, 24, 14  # pixels
_COLOURS = ("#1f77b4", "#d95f02", "#2a9d5c", "#8e5bb5", "#666666")


@dataclass(frozen=True)
class Points:
    """A series of points (x, y).

    colour: index into the palette of five colours
    radius: in pixels
    """

    xy: Sequence[tuple[float, float]]
    colour: int = 0
    radius: float = 2.5
    opacity: float = 0.8


@dataclass(frozen=True)
class Panel:
    """One plot. The y axis has the names of `rows` at 0, 1, 2, ..., or numbers where there are none.

    intervals: (low, high, y), horizontal lines
    """

    title: str
    x_label: str
    y_label: str = ""
    points: Sequence[Points] = ()
    intervals: Sequence[tuple[float, float, float]] = ()
    rows: Sequence[str] = ()


@dataclass(frozen=True)
class _Area:
    """The plotted rectangle in pixels, and for each axis the map from a value to its pixel."""

    left: float
    right: float
    bottom: float
    x: Callable[[float], float]
    y: Callable[[float], float]
    x_ticks: Sequence[float]
    y_ticks: Sequence[float]


def figure(panels: Sequence[Panel], columns: int, label_width: int = 0) -> str:
    """An SVG document of all panels, row by row. `label_width` is the width for names of rows, in pixels."""
    width, height = _WIDTH + label_width + _GAP, _HEIGHT + _GAP
    lines = math.ceil(len(panels) / columns)
    drawn = "".join(
        f'<g transform="translate({n % columns * width},{n // columns * height})">'
        f"{_panel(panel, label_width)}</g>"
        for n, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {columns * width} {lines * height}" '
        f'width="{columns * width}" font-family="sans-serif" font-size="10">'
        f'<rect width="100%" height="100%" fill="white"/>{drawn}</svg>\n'
    )


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers between `low` and `high`, `about` so many."""
    if not high > low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / about))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (m * step) <= about + 1)
    return [round(n * step, 10) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _panel(panel: Panel, label_width: int) -> str:
    area = _area(panel, label_width)
    return "".join([*_axes(panel, area), *_intervals(panel, area), *_points(panel, area)])


def _area(panel: Panel, label_width: int) -> _Area:
    left, right, bottom = _LEFT + label_width, _WIDTH + label_width, _HEIGHT - _BOTTOM
    every = [point for series in panel.points for point in series.xy]
    xs = [x for x, _ in every] + [x for low, high, _ in panel.intervals for x in (low, high)]
    ys = [-0.5, len(panel.rows) - 0.5] if panel.rows else [y for _, y in every]
    x_of, x_ticks = _scale(xs, left, right - _RIGHT)
    y_of, y_ticks = _scale(ys, bottom, _TOP, padded=not panel.rows)
    return _Area(left, right, bottom, x_of, y_of, x_ticks, y_ticks)


def _scale(
    values: Sequence[float], start: float, end: float, *, padded: bool = True
) -> tuple[Callable[[float], float], list[float]]:
    """The map from values to pixels between `start` and `end`, and the ticks of the axis."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    if padded:
        margin = 0.06 * (high - low) or 1.0
        low, high = low - margin, high + margin
    return lambda value: start + (value - low) / (high - low) * (end - start), ticks(low, high)


def _axes(panel: Panel, area: _Area) -> Iterator[str]:
    middle = (area.left + area.right) / 2
    yield _text(middle, 14, panel.title, anchor="middle", weight="bold")
    yield _text(middle, _HEIGHT - 4, panel.x_label, anchor="middle")
    yield f'<path d="M{area.left} {_TOP}V{area.bottom}H{area.right}" fill="none" stroke="#444"/>'
    for tick in area.x_ticks:
        yield f'<path d="M{area.x(tick):.1f} {area.bottom}v4" stroke="#444"/>'
        yield _text(area.x(tick), area.bottom + 14, f"{tick:g}", anchor="middle")
        if tick == 0 and panel.rows:
            yield f'<path d="M{area.x(0):.1f} {_TOP}V{area.bottom}" stroke="#bbb" stroke-dasharray="3 3"/>'
    names = [(float(y), name) for y, name in enumerate(panel.rows)]
    for y, name in names or [(tick, f"{tick:g}") for tick in area.y_ticks]:
        yield _text(area.left - 6, area.y(y) + 3, name, anchor="end")
    if panel.y_label:
        turn = f'transform="rotate(-90)" text-anchor="middle" x="{-(_TOP + area.bottom) / 2}" y="10"'
        yield f"<text {turn}>{escape(visible(panel.y_label))}</text>"


def _intervals(panel: Panel, area: _Area) -> Iterator[str]:
    for low, high, y in panel.intervals:
        yield f'<path d="M{area.x(low):.1f} {area.y(y):.1f}H{area.x(high):.1f}" stroke="#222"/>'


def _points(panel: Panel, area: _Area) -> Iterator[str]:
    for series in panel.points:
        colour = f'fill="{_COLOURS[series.colour]}" fill-opacity="{series.opacity}"'
        for x, y in series.xy:
            yield f'<circle cx="{area.x(x):.1f}" cy="{area.y(y):.1f}" r="{series.radius}" {colour}/>'


def _text(x: float, y: float, text: str, *, anchor: str, weight: str = "normal") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
    return f"<text {place}>{escape(visible(text))}</text>"
