"""The plots of a document, as SVG by file name."""

from collections.abc import Iterator, Mapping

from benchmarks.evidence.analysis.measures import difference, measure
from benchmarks.evidence.analysis.numbers import Numbers
from benchmarks.evidence.analysis.outcomes import Outcome, candidate_outcomes
from benchmarks.evidence.analysis.study import BASELINE, KINDS, Study
from sapo_lite.report.svg import Panel, Points, figure

_AXES = {
    "earlier": ("change", "change on earlier tasks"),
    "later": ("change", "change on later tasks"),
    "task": ("score", "score of the task"),
}
_MEASURES = ("in-task", "AP", "retention")


def plots(numbers: Numbers) -> dict[str, str]:
    """Loss against outcome, one file an outcome; and measures by seed, one file a measure."""
    name = numbers.study.name
    found: dict[str, str] = {}
    for what in _AXES:
        if panels := list(_scatters(numbers, what)):
            found[f"{name}-probe-{what}.svg"] = figure(panels, columns=3)
    for measured in _MEASURES:
        if panels := list(_dots(numbers.study, measured)):
            found[f"{name}-sequences-{measured.lower()}.svg"] = figure(panels, columns=2, label_width=110)
    return found


def images(found: Mapping[str, str], part: str) -> str:
    return "\n\n".join(f"![{name}]({name})" for name in found if f"-{part}-" in name)


def _scatters(numbers: Numbers, what: str) -> Iterator[Panel]:
    """A panel for each main probe; the original is in another colour."""
    measured, axis = _AXES[what]
    for probe in numbers.probes:
        y = candidate_outcomes(probe, Outcome(what, measured, "chosen"))
        points = [(c.loss, value) for c, value in zip(probe.candidates, y, strict=False)]
        if points:
            yield Panel(
                f"seed {probe.seed}, task {probe.learned + 1}: {probe.task}",
                "loss before training, nats per token",
                axis,
                [Points(points[1:]), Points(points[:1], colour=1, radius=3.5)],
            )


def _dots(study: Study, name: str) -> Iterator[Panel]:
    """Seeds as small dots, their mean as a large one with its interval; a panel for each kind and adapter."""
    for adapter in study.adapters:
        variants = list(dict.fromkeys(run.variant for run in study.runs if run.adapter == adapter))
        variants.sort(key=lambda variant: variant != BASELINE)
        for kind in KINDS:
            rows: list[str] = []
            seeds, means, intervals = [], [], []
            for variant in reversed(variants):  # the first one on top
                one = difference(study, variant, BASELINE, adapter, kind, name)
                if one is None:
                    continue
                y = float(len(rows))
                rows.append(variant)
                values = [measure(run, kind, name) for run in study.by_seed(variant, adapter).values()]
                seeds += [(value, y) for value in values if value is not None]
                means.append((one.means.mean, y))
                if one.means.low is not None and one.means.high is not None:
                    intervals.append((one.means.low, one.means.high, y))
            if rows:
                yield Panel(
                    f"{name}, {adapter}, {KINDS[kind]}",
                    "percent, mean and 95 %",
                    points=[Points(seeds, 4, 1.8, 0.5), Points(means, 1, 3.2, 1.0)],
                    intervals=intervals,
                    rows=rows,
                )
