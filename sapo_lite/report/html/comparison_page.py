"""The report of a comparison as a page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sapo_lite.compare.comparison import Comparison
from sapo_lite.compare.findings import Finding, left_out, statement
from sapo_lite.compare.statistics import bounds
from sapo_lite.report.dots import Dot
from sapo_lite.report.html.curves import Figure
from sapo_lite.report.html.page import page, write_page
from sapo_lite.report.html.plots import dot_plot
from sapo_lite.report.measures import measure
from sapo_lite.run import paths
from sapo_lite.support.messages import as_toml, many, number, p_value


@dataclass(frozen=True)
class Kind:
    """The findings under one kind of prompt.

    groups: by name, a cell for each metric
    differences: a row of cells for each paired difference
    """

    name: str
    statement: str
    left_out: str
    metrics: list[str]
    groups: dict[str, list[str]]
    differences: list[list[str]]
    paired: list[Figure]
    seeds: list[Figure]


def comparison_page(comparison: Comparison) -> str:
    """The page of a comparison."""
    every = [_kind(comparison, kind) for kind in comparison.kinds]
    return page(
        "comparison.html",
        comparison=comparison,
        kinds=sorted(every, key=lambda kind: kind.name != comparison.kind),
        measure=measure(comparison.task_metrics.values()),
        settings={key: as_toml(value) for key, value in comparison.settings.items()},
        folders=[comparison.folder(run) for run in comparison.runs],
        seeds=len({run.seed for run in comparison.runs}),
    )


def write_comparison_report(comparison: Comparison, out: Path) -> Path:
    """Write the report of a comparison: to a file, or into a folder. Returns the path of the file."""
    return write_page(out / paths.REPORT if out.is_dir() else out, comparison_page(comparison))


def _kind(comparison: Comparison, kind: str) -> Kind:
    found = comparison.found[kind]
    groups: dict[str, list[str]] = {}
    for one in found:
        groups.setdefault(one.group.label, []).append(_mean(one))
    compared = [one for one in found if one.difference is not None]
    metrics = list(dict.fromkeys(one.metric for one in found))
    return Kind(
        name=kind,
        statement=statement(found) or "Nothing was compared: all runs are of one group.",
        left_out=left_out(comparison.groups, kind),
        metrics=metrics,
        groups=groups,
        differences=[_difference(one) for one in compared],
        paired=list(_paired(compared, metrics)),
        seeds=list(_by_seed(found, metrics)),
    )


def _mean(one: Finding) -> str:
    """`81.2 ± 1.0`: mean and standard deviation over seeds, with a star if it differs from the baseline."""
    if one.over_seeds is None:
        return "–"
    deviation = one.over_seeds.deviation
    spread = "" if deviation is None else f" ± {number(deviation, 1)}"
    return f"{number(one.over_seeds.mean, 1)}{spread}{'*' if one.significant else ''}"


def _difference(one: Finding) -> list[str]:
    assert one.difference is not None
    assert one.baseline is not None
    return [
        one.group.label,
        one.baseline.label,
        one.metric,
        number(one.difference.mean, 1, sign=True) + ("*" if one.significant else ""),
        bounds(one.difference),
        p_value(one.p),
        str(one.difference.n),
    ]


def _paired(compared: Sequence[Finding], metrics: Sequence[str]) -> Iterator[Figure]:
    """For each metric, the differences of all groups to their baselines, with intervals."""
    for metric in metrics:
        dots = [_dot(one) for one in compared if one.metric == metric]
        if dots:
            words = f"Differences of {metric} to the baseline: {'; '.join(dot.text for dot in dots)}"
            yield Figure(metric, dot_plot(dots, words))


def _dot(one: Finding) -> Dot:
    assert one.difference is not None
    found = one.difference
    text = f"{one.group.label} {found.mean:+.1f} points, 95 % {bounds(found)}, {many(found.n, 'seed')}"
    return Dot(
        one.group.label, found.mean, found.low, found.high, "best" if one.significant else "other", text
    )


def _by_seed(found: Sequence[Finding], metrics: Sequence[str]) -> Iterator[Figure]:
    """For each metric, a row for every run: its value, by group and seed."""
    for metric in metrics:
        dots = [
            Dot(
                f"{one.group.label}, {seed}",
                value,
                None,
                None,
                "original" if one.baseline is None else "other",
                f"{one.group.label}, seed {seed}: {value:.1f}",
            )
            for one in found
            if one.metric == metric
            for seed, value in one.values.items()
        ]
        if dots:
            yield Figure(metric, dot_plot(dots, "; ".join(dot.text for dot in dots), zero=False))
