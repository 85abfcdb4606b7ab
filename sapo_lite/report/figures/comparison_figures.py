"""Figures of a comparison: differences to the baseline, and the value of every seed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sapo_lite.compare.comparison import Comparison
from sapo_lite.compare.findings import Finding
from sapo_lite.report.dots import Dot
from sapo_lite.report.figures.style import COLOURS, dots, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def comparison_figures(comparison: Comparison) -> Iterator[tuple[str, "Figure"]]:
    """Name and figure, for each kind of prompt and metric."""
    for kind, found in comparison.found.items():
        for metric in dict.fromkeys(one.metric for one in found):
            own = [one for one in found if one.metric == metric and one.values]
            if own:
                yield f"seeds-{kind}-{metric}", _seeds(own, f"{metric} in percent, {kind} prompts")
            compared = [_dot(one) for one in own if one.difference is not None]
            if compared:
                label = f"difference of {metric} to the baseline, points (95 % interval)"
                yield f"differences-{kind}-{metric}", dots(compared, label)


def _dot(one: Finding) -> Dot:
    """The paired difference of a group; a diamond if it is significant after Holm's correction."""
    assert one.difference is not None
    found = one.difference
    return Dot(one.group.label, found.mean, found.low, found.high, "best" if one.significant else "other", "")


def _seeds(found: list[Finding], label: str) -> "Figure":
    """A row for each group: a dot for each seed, and a line at the mean."""
    drawn = figure(4.8, 0.3 * len(found) + 0.6)
    axes = drawn.add_subplot()
    for row, one in enumerate(found):
        values = list(one.values.values())
        axes.plot(values, [row] * len(values), "o", color=COLOURS[0], markersize=4, alpha=0.7)
        mean = sum(values) / len(values)
        axes.plot([mean, mean], [row - 0.3, row + 0.3], color="black", linewidth=1)
    axes.set_yticks(range(len(found)), [one.group.label for one in found])
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlabel(f"{label}: every seed, and the mean")
    return drawn
