"""The document's plots: loss against outcome by transition, metrics and differences by strategy."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.evidence.analysis import BASELINE, KINDS, Compared, comparisons, pairs
from benchmarks.evidence.plots import Panel, Points, figure
from benchmarks.evidence.statistics import Interval

_PROBED = {
    "earlier": "change on earlier tasks",
    "later": "change on later tasks",
    "task": "score of the task",
}


def draw(probe: Mapping[str, Any] | None, sequences: Mapping[str, Any] | None) -> dict[str, str]:
    """SVG documents by file name."""
    drawn = {}
    if probe:
        for what, label in _PROBED.items():
            if panels := list(_scatters(probe, what, label)):
                drawn[f"probe-{what}.svg"] = figure(panels, columns=3)
    if sequences:
        found = comparisons(sequences)
        for metric in ("ap", "bwt"):
            of_metric = [c for c in found if c.metric == metric]
            drawn[f"sequences-{metric}.svg"] = figure(_dots(of_metric, metric), 3, label_width=70)
    return drawn


def _scatters(probe: Mapping[str, Any], what: str, label: str) -> list[Panel]:
    """A panel for each transition; the original instruction in another colour."""
    panels = []
    for transition in probe["transitions"]:
        losses, outcomes = pairs(transition, what, "chosen")
        if not losses:
            continue
        points = list(zip(losses, outcomes, strict=True))
        title = f"seed {transition['seed']}, task {transition['learned'] + 1}: "
        panels.append(
            Panel(
                title + transition["tasks"][transition["learned"]],
                "loss before training, nats per token",
                label,
                [Points(points[1:]), Points(points[:1], colour=1, radius=3.5)],
            )
        )
    return panels


def _dots(found: Sequence[Compared], metric: str) -> list[Panel]:
    """For each kind of prompt: all seeds and the mean; below, differences to the baseline."""
    panels = []
    for kind, name in KINDS.items():
        rows = [c for c in found if c.kind == kind][::-1]  # the first strategy on top
        labels = [f"{c.strategy}, {c.adapter}" for c in rows]
        title = f"{metric.upper()}, {name} wordings"
        panels.append(
            _dot_panel(title, "percent, mean and 95 %", labels, [(c, c.over_seeds, c.values) for c in rows])
        )
    for kind, name in KINDS.items():
        rows = [c for c in found if c.kind == kind and c.difference is not None][::-1]
        labels = [f"{c.strategy}, {c.adapter}" for c in rows]
        title = f"{metric.upper()} less that of {BASELINE}, {name}"
        panels.append(
            _dot_panel(title, "points, mean and 95 %", labels, [(c, c.difference, []) for c in rows])
        )
    return [panel for panel in panels if panel.rows]


def _dot_panel(
    title: str,
    unit: str,
    labels: Sequence[str],
    rows: Sequence[tuple[Compared, Interval | None, Sequence[float]]],
) -> Panel:
    means = [(interval.mean, float(y)) for y, (_, interval, _) in enumerate(rows) if interval]
    seeds = [(value, float(y)) for y, (_, _, values) in enumerate(rows) for value in values]
    bars = [
        (interval.low, interval.high, float(y))
        for y, (_, interval, _) in enumerate(rows)
        if interval and interval.low is not None and interval.high is not None
    ]
    return Panel(
        title, unit, "", [Points(seeds, 4, 1.8, 0.5), Points(means, 1, 3.2, 1.0)], bars, tuple(labels)
    )
