"""Plots as inline SVG: lines over steps, and dots with intervals. Colours are classes of the style sheet."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from sapo_lite.report.dots import Dot
from sapo_lite.report.html.page import cut
from sapo_lite.report.svg import ticks

_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 10, 8, 22  # margins in pixels
_LINE_WIDTH, _LINE_HEIGHT = 250, 130
_DOTS_AREA, _ROW, _AXIS = 340, 13, 24  # without the names of the rows
_LONGEST_NAME = 46  # characters beside a row; a dot's title has the whole name
_MOST_POINTS = 300  # of a line; more are not told apart at its width


@dataclass(frozen=True)
class Line:
    """A series of points (x, y). `role` is a class of the style sheet: "first", "second", "third"."""

    name: str
    points: Sequence[tuple[float, float]]
    role: str = "first"


def line_plot(
    lines: Sequence[Line],
    alternative: str,
    *,
    bounds: tuple[float, float] | None = None,
    marked: float | None = None,
) -> Markup:
    """Lines over common axes.

    alternative: the plot in words, for those who do not see it
    bounds: of the y axis; by default those of the values
    marked: place on the x axis with a vertical mark
    """
    every = [point for line in lines for point in line.points]
    low, high = bounds or _padded([y for _, y in every])
    first, last = min(x for x, _ in every), max(x for x, _ in every)
    x = _scale(first, last, _LEFT, _LINE_WIDTH - _RIGHT)
    y = _scale(low, high, _LINE_HEIGHT - _BOTTOM, _TOP)
    parts = [*_y_axis(ticks(low, high, 3), y), *_x_axis(_whole(ticks(first, last, 5)), x, _LINE_HEIGHT)]
    if marked is not None:
        parts.append(_path("mark", f"M{x(marked):.1f} {_TOP}V{_LINE_HEIGHT - _BOTTOM}"))
    for line in lines:
        points = _thinned(line.points)
        drawn = "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in points)
        parts.append(_path(f"line {line.role}", f"M{drawn}"))
        if len(points) <= 20:
            parts += [_circle(x(a), y(b), f"point {line.role}", f"{line.name}: {b:.1f}") for a, b in points]
    return _svg(_LINE_WIDTH, _LINE_HEIGHT, alternative, parts)


def dot_plot(dots: Sequence[Dot], alternative: str, *, zero: bool = True) -> Markup:
    """Dots with intervals, a row each, over a common x axis.

    zero: whether a vertical line marks 0
    """
    height = _ROW * len(dots) + _AXIS + _TOP
    values = [v for dot in dots for v in (dot.low, dot.value, dot.high) if v is not None]
    low, high = _padded([*values, 0.0] if zero else values)
    names = [cut(dot.name, _LONGEST_NAME) for dot in dots]
    left = 10 + 6 * max(map(len, names))
    x = _scale(low, high, left, left + _DOTS_AREA)
    parts = list(_x_axis(ticks(low, high, 6), x, height))
    if zero:
        parts.append(_path("mark", f"M{x(0):.1f} {_TOP}V{height - _AXIS}"))
    for row, (name, dot) in enumerate(zip(names, dots, strict=True)):
        middle = _TOP + _ROW * (row + 0.5)
        parts.append(_text(left - 6, middle + 3.5, name, "end"))
        if dot.low is not None and dot.high is not None:
            parts.append(_path(f"bar {dot.role}", f"M{x(dot.low):.1f} {middle:.1f}H{x(dot.high):.1f}"))
        parts.append(_shape(x(dot.value), middle, dot))
    return _svg(left + _DOTS_AREA + _RIGHT, height, alternative, parts, smallest=0.85)


def _shape(x: float, y: float, dot: Dot) -> Markup:
    """A circle; a diamond for the best and a square for the original, which do not need colours."""
    if dot.role == "best":
        drawn = f"M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z"
    elif dot.role == "original":
        drawn = f"M{x - 4:.1f} {y - 4:.1f}h8v8h-8z"
    else:
        return _circle(x, y, f"dot {dot.role}", dot.text)
    return Markup('<path class="dot {}" d="{}"><title>{}</title></path>').format(dot.role, drawn, dot.text)


def _svg(width: int, height: int, alternative: str, parts: Sequence[Markup], smallest: float = 0.0) -> Markup:
    """smallest: share of the width below which it is scrolled rather than shrunk"""
    head = Markup(
        '<svg role="img" viewBox="0 0 {} {}" style="min-width:{:.0f}px;max-width:{:.0f}px" aria-label="{}">'
    )
    start = head.format(width, height, width * smallest, width * 1.4, alternative)
    return start + Markup("").join(parts) + Markup("</svg>")


def _y_axis(at: Sequence[float], y: Callable[[float], float]) -> Iterator[Markup]:
    for tick in at:
        yield _path("grid", f"M{_LEFT} {y(tick):.1f}H{_LINE_WIDTH - _RIGHT}")
        yield _text(_LEFT - 5, y(tick) + 3.5, f"{tick:g}", "end")


def _x_axis(at: Sequence[float], x: Callable[[float], float], height: int) -> Iterator[Markup]:
    for tick in at:
        yield _text(x(tick), height - 7, f"{tick:g}", "middle")


def _whole(at: Sequence[float]) -> list[float]:
    return [tick for tick in at if tick == int(tick)]


def _path(role: str, drawn: str) -> Markup:
    return Markup('<path class="{}" d="{}"/>').format(role, drawn)


def _circle(x: float, y: float, role: str, text: str) -> Markup:
    found = Markup('<circle class="{}" cx="{}" cy="{}" r="3.5"><title>{}</title></circle>')
    return found.format(role, f"{x:.1f}", f"{y:.1f}", text)


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    found = Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>')
    return found.format(f"{x:.1f}", f"{y:.1f}", anchor, text)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    width = (high - low) or 1.0
    return lambda value: start + (value - low) / width * (end - start)


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Some of the points, evenly, and always the last."""
    step = -(-len(points) // _MOST_POINTS)
    return points if step <= 1 else [*points[:-1:step], points[-1]]
