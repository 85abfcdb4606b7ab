"""Plots as SVG, written by hand: panels in a grid, each with axes, points and intervals. Nothing else."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _GAP = 230, 170, 44, 34, 24, 14
_COLOURS = ("#1f77b4", "#d95f02", "#2a9d5c", "#8e5bb5", "#666666")


@dataclass(frozen=True)
class Points:
    """A series: (x, y) of each point, drawn in the colour of that number."""

    xy: Sequence[tuple[float, float]]
    colour: int = 0
    radius: float = 2.5
    opacity: float = 0.8


@dataclass(frozen=True)
class Panel:
    """One plot. `bars` are horizontal: (low, high, y). With `rows`, the y axis has names at 0, 1, 2, ..."""

    title: str
    x_label: str
    y_label: str = ""
    points: Sequence[Points] = ()
    bars: Sequence[tuple[float, float, float]] = ()
    rows: Sequence[str] = field(default=())


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers within the bounds, about as many as asked for."""
    if not high > low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / about))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (m * step) <= about + 1)
    return [round(n * step, 10) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def figure(panels: Sequence[Panel], columns: int, label_width: int = 0) -> str:
    """An SVG document of all panels, row by row. `label_width` makes room for the names of rows."""
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


def _panel(panel: Panel, label_width: int) -> str:
    left, right, bottom = _LEFT + label_width, _WIDTH + label_width, _HEIGHT - _BOTTOM
    every = [point for series in panel.points for point in series.xy]
    xs = [x for x, _ in every] + [x for low, high, _ in panel.bars for x in (low, high)]
    ys = [-0.5, len(panel.rows) - 0.5] if panel.rows else [y for _, y in every]
    x_of, x_ticks = _scale(xs, left, right - 8)
    y_of, y_ticks = _scale(ys, bottom, _TOP, padded=not panel.rows)
    parts = [
        _text((left + right) / 2, 14, panel.title, anchor="middle", weight="bold"),
        _text((left + right) / 2, _HEIGHT - 4, panel.x_label, anchor="middle"),
        f'<path d="M{left} {_TOP}V{bottom}H{right}" fill="none" stroke="#444"/>',
    ]
    for tick in x_ticks:
        parts.append(f'<path d="M{x_of(tick):.1f} {bottom}v4" stroke="#444"/>')
        parts.append(_text(x_of(tick), bottom + 14, f"{tick:g}", anchor="middle"))
        if tick == 0 and panel.rows:
            parts.append(f'<path d="M{x_of(0):.1f} {_TOP}V{bottom}" stroke="#bbb" stroke-dasharray="3 3"/>')
    names = [(float(y), name) for y, name in enumerate(panel.rows)]
    names = names or [(tick, f"{tick:g}") for tick in y_ticks]
    parts += [_text(left - 6, y_of(y) + 3, name, anchor="end") for y, name in names]
    if panel.y_label:
        turn = f'transform="rotate(-90)" text-anchor="middle" x="{-(_TOP + bottom) / 2}" y="10"'
        parts.append(f"<text {turn}>{escape(panel.y_label)}</text>")
    for low, high, y in panel.bars:
        parts.append(f'<path d="M{x_of(low):.1f} {y_of(y):.1f}H{x_of(high):.1f}" stroke="#222"/>')
    for series in panel.points:
        colour = _COLOURS[series.colour % len(_COLOURS)]
        parts += [
            f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="{series.radius}" fill="{colour}" '
            f'fill-opacity="{series.opacity}"/>'
            for x, y in series.xy
        ]
    return "".join(parts)


def _scale(
    values: Sequence[float], start: float, end: float, *, padded: bool = True
) -> tuple[Callable[[float], float], list[float]]:
    """What maps values onto the pixels from `start` to `end`, and the ticks between."""
    low, high = min(values), max(values)
    if padded:
        margin = 0.06 * (high - low) or 1.0
        low, high = low - margin, high + margin
    return lambda value: start + (value - low) / (high - low) * (end - start), ticks(low, high)


def _text(x: float, y: float, text: str, *, anchor: str, weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'
    )
