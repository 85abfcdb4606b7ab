"""What all figures share: sizes, colours that the colour-blind tell apart, and axes."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sapo_lite.report.dots import Dot
from sapo_lite.support.foreign_text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's, from the darkest; lines have dashes and markers of their own, too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D")
_BY_ROLE = {"best": ("D", COLOURS[1]), "original": ("s", "#000000"), "other": ("o", COLOURS[0])}
_DROPPED = ("o", "#999999")

SETTINGS = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 200,
    "pdf.fonttype": 42,  # TrueType: journals refuse matplotlib's default
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "sapo-lite",  # the same figure twice is the same file
    "text.parse_math": False,  # a "$" in the name of a task is a "$"
}

_COLUMNS = 3
_ROW = 0.16  # inches of a row with a dot


def figure(width: float, height: float) -> "Figure":
    """An empty figure, in inches. It belongs to no window and no notebook."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def panels(count: int) -> tuple["Figure", list["Axes"]]:
    """A figure of so many small panels, in rows of three."""
    columns = min(count, _COLUMNS)
    rows = math.ceil(count / _COLUMNS)
    drawn = figure(2.2 * columns + 0.3, 1.7 * rows)
    axes = [drawn.add_subplot(rows, columns, place + 1) for place in range(count)]
    return drawn, axes


def legend(drawn: "Figure", axes: "Axes") -> None:
    """A legend above all panels for the lines of one."""
    handles, labels = axes.get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)


def dots(rows: Sequence[Dot], label: str, *, zero: bool = True) -> "Figure":
    """Dots with intervals, a row each from the top, over an axis with this label.

    zero: whether a line marks 0
    """
    drawn = figure(4.8, _ROW * len(rows) + 0.6)
    axes = drawn.add_subplot()
    for row, dot in enumerate(rows):
        marker, colour = _BY_ROLE.get(dot.role, _DROPPED)
        if dot.low is not None and dot.high is not None:
            axes.plot([dot.low, dot.high], [row, row], color=colour, linewidth=1)
        axes.plot([dot.value], [row], marker, color=colour, markersize=4)
    if zero:
        axes.axvline(0, color="#555555", linewidth=0.6)
    axes.set_yticks(range(len(rows)), [visible(dot.name) for dot in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(label)
    return drawn
