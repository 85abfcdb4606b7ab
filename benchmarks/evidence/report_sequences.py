"""The document's section on the sequences: differences to the baseline, in tables, sentences and plots."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from benchmarks.evidence.analysis import KINDS
from benchmarks.evidence.programme import BASELINE
from sapo_lite.compare.findings import LEVEL, Finding
from sapo_lite.compare.statistics import Interval, bounds
from sapo_lite.evaluation.continual import FORMULAS
from sapo_lite.report.svg import Panel, Points, figure
from sapo_lite.support.messages import many, markdown, number

Found = Mapping[str, Sequence[Finding]]  # by kind of prompt
Rows = list[tuple[str, Interval | None, list[float]]]  # name, mean with interval, the values it is of

_TITLES = {
    "chosen": "Learned tasks tested with their own wordings",
    "original": "All tasks tested with their original wordings",
    "unseen": "All tasks tested with held-out paraphrases, each for its share of the examples",
}


def sentences(found: Found) -> Iterator[str]:
    """SAPO against the baseline, in the metrics of its claims."""
    for kind, of_kind in found.items():
        for metric in ("AP", "BWT"):
            for one in of_kind:
                if (one.group.strategy, one.metric) == ("sapo", metric) and one.difference is not None:
                    yield _sentence(one, one.difference, kind)


def _sentence(one: Finding, difference: Interval, kind: str) -> str:
    """A sentence that names a direction only if the difference is significant."""
    figures = (
        f"{number(difference.mean, 1, sign=True)} points, 95 % {bounds(difference)}, "
        f"higher in {_higher(one, kind)} of {many(difference.n, 'seed')}"
    )
    if difference.n == 1:
        verdict = f"{one.metric} on a single seed, which tells nothing of others"
    elif difference.low is None or difference.high is None:
        verdict = (
            f"{one.metric} differs from {BASELINE} by the same in all seeds, which leaves nothing to test"
        )
    elif difference.low > 0:
        verdict = f"{one.metric} above {BASELINE}"
    elif difference.high < 0:
        verdict = f"{one.metric} below {BASELINE}"
    else:
        verdict = f"{one.metric} not told apart from {BASELINE}"
    held = ""
    if (difference.low or 0) * (difference.high or 0) > 0 and one.p is not None and not one.significant:
        held = "; it does not hold after Holm's correction"
    return f"{one.group.label}, {KINDS[kind]} wordings: {verdict} ({figures}{held})."


def _higher(one: Finding, kind: str) -> int:
    """The number of seeds in which the group is above its baseline."""
    assert one.baseline is not None
    base = {seed: run.values[kind][one.metric] for seed, run in one.baseline.runs.items()}
    return sum(one.values[seed] > other for seed, other in base.items() if other is not None)


def plots(found: Found) -> dict[str, str]:
    """SVG documents by file name, one a metric: seeds and means by kind of prompt, and differences."""
    drawn = {}
    for metric in ("AP", "BWT"):
        means, differences = [], []
        for kind, of_kind in found.items():
            rows = [one for one in of_kind if one.metric == metric][::-1]  # the first strategy on top
            every: Rows = [(_label(one), one.over_seeds, list(one.values.values())) for one in rows]
            means.append(_dots(f"{metric}, {KINDS[kind]} wordings", "percent", every))
            compared: Rows = [(_label(one), one.difference, []) for one in rows if one.difference is not None]
            if compared:
                title = f"{metric} less that of {BASELINE}, {KINDS[kind]}"
                differences.append(_dots(title, "points", compared))
        drawn[f"sequences-{metric.lower()}.svg"] = figure([*means, *differences], 3, label_width=70)
    return drawn


def _dots(title: str, unit: str, rows: Rows) -> Panel:
    """Means with intervals, and their single values as smaller dots; rows have a name."""
    means = [(interval.mean, float(y)) for y, (_, interval, _) in enumerate(rows) if interval]
    seeds = [(value, float(y)) for y, (_, _, values) in enumerate(rows) for value in values]
    intervals = [
        (interval.low, interval.high, float(y))
        for y, (_, interval, _) in enumerate(rows)
        if interval and interval.low is not None and interval.high is not None
    ]
    points = [Points(seeds, 4, 1.8, 0.5), Points(means, 1, 3.2, 1.0)]
    names = [name for name, *_ in rows]
    return Panel(title, f"{unit}, mean and 95 %", points=points, intervals=intervals, rows=names)


def _label(one: Finding) -> str:
    return f"{one.group.strategy}, {one.group.adapter}"


def section(content: Mapping[str, Any], found: Found, images: str) -> str:
    tests = sum(one.p is not None for of_kind in found.values() for one in of_kind)
    tables = "\n\n".join(f"### {title}\n\n{_table(found[kind], kind)}" for kind, title in _TITLES.items())
    formulas = " ".join(f"{metric}: {formula}." for metric, formula in FORMULAS.items())
    return f"""
## Sequences

{many(len(content["cells"]), "run")} over {many(len(content["seeds"]), "seed")}. Mean (standard deviation
over seeds); the difference to `fixed` on the same seeds with its 95 % paired t interval, and in how many
seeds it was above. Seeds are the units. There are {tests} differences below: by chance alone, about
{tests / 20:.0f} of their
intervals would leave 0 out if nothing made a difference. * marks those whose paired t test holds after
Holm's correction for all of them (p < {LEVEL}). {formulas}

{tables}

Large points are means over seeds, small ones seeds; lines are 95 % t intervals:

{images}

How often the wording of a task was its original one, over all runs:

{_original_table(content)}
"""


def _table(found: Sequence[Finding], kind: str) -> str:
    """A row for each strategy on each adapter, metrics beside each other."""
    headings = ["strategy, adapter"]
    for metric in dict.fromkeys(one.metric for one in found):
        headings += [metric, f"to {BASELINE} (95 %; above)"]
    rows = []
    for label, of_group in groupby(found, _label):
        rows.append([label, *(cell for one in of_group for cell in _cells(one, kind))])
    return markdown(headings, rows)


def _cells(one: Finding, kind: str) -> list[str]:
    mean = (
        f"{number(one.over_seeds.mean, 1)} ({number(one.over_seeds.deviation, 1)})" if one.over_seeds else "–"
    )
    if one.difference is None:
        return [mean, ""]
    within = f"{bounds(one.difference)}; {_higher(one, kind)} of {one.difference.n}"
    mark = "*" if one.significant else ""
    return [mean, f"{number(one.difference.mean, 1, sign=True)}{mark} ({within})"]


def _original_table(content: Mapping[str, Any]) -> str:
    """Frequency of the original instruction as a strategy's choice, which is then the same as the
    baseline.
    """
    rows = []
    for strategy in dict.fromkeys(cell["strategy"] for cell in content["cells"]):
        chosen = [n for c in content["cells"] if c["strategy"] == strategy for n in c["chosen"].values()]
        rows.append([strategy, f"{sum(n == 0 for n in chosen)} of {len(chosen)}"])
    return markdown(["strategy", "tasks whose wording to be tested with is the original"], rows)
