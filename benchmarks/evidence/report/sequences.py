"""The document's section on the sequences: measures by kind of test prompt, and what they come from."""

from collections.abc import Iterator

from benchmarks.evidence.analysis.choice import OverProbes
from benchmarks.evidence.analysis.measures import FORMULAS, difference, mean_update
from benchmarks.evidence.analysis.numbers import COMPARISONS, Numbers
from benchmarks.evidence.analysis.study import BASELINE, KINDS, LEAST_SEEDS, Study
from benchmarks.evidence.analysis.wordings_effect import CELLS
from benchmarks.evidence.report.text import enough, over_both, points, span
from sapo_lite.compare.statistics import Interval
from sapo_lite.support.messages import many, markdown, number, p_value

_TITLES = {
    "chosen": "Learned tasks tested with their own wordings",
    "original": "All tasks tested with their original wordings",
    "unseen": "All tasks tested with held-out wordings, each for its share of the examples",
    "other": "Learned tasks tested with the wordings that SAPO chose in the same seed",
}


def section(numbers: Numbers, images: str) -> str:
    study = numbers.study
    if not study.runs:
        return ""
    parts = [_opening(study), *_tables(study), _primary(numbers), images, *_decomposition(numbers)]
    parts += [*_crossed(numbers), *_others(numbers), *_updates(study), _originals(study)]
    return "\n\n".join(["## Sequences", *filter(None, parts)])


def _opening(study: Study) -> str:
    seeds = {run.seed for run in study.runs}
    formulas = "\n".join(f"- {name}: {formula}" for name, formula in FORMULAS.items())
    return (
        f"{many(len(study.runs), 'run')} over {many(len(seeds), 'seed')}. BWT says nothing of a task that "
        "was hardly learned, since R[j,j] is taken off: read it with the score in task and with retention. "
        "Means (standard deviation over seeds), and paired differences to "
        f"`{BASELINE}` on the same adapter and seeds (95 % t interval; seeds in which it is above), which "
        f"are described here and not corrected for their number.\n\n{formulas}"
    )


def _tables(study: Study) -> Iterator[str]:
    cells = list(dict.fromkeys((run.adapter, run.variant) for run in study.runs))
    for kind, title in _TITLES.items():
        names = [name for name in FORMULAS if (kind, name) != ("chosen", "FWT")]
        means, differences = [], []
        for adapter, variant in sorted(cells, key=lambda c: (study.adapters.index(c[0]), c[1] != BASELINE)):
            found = {name: difference(study, variant, BASELINE, adapter, kind, name) for name in names}
            if not any(found.values()):
                continue
            label = f"{variant}, {adapter}"
            n = next(one.means.n for one in found.values() if one)
            means.append([label, str(n), *(_mean(one.means if one else None) for one in found.values())])
            if variant != BASELINE:
                cell = [
                    f"{points(one.interval)}; {one.above} of {one.interval.n}"
                    if one and one.interval
                    else "–"
                    for one in found.values()
                ]
                differences.append([label, *cell])
        if means:
            yield f"### {title}"
            yield markdown(["variant, adapter", "seeds", *names], means)
            if differences:
                yield f"Less `{BASELINE}`:"
                yield markdown(["variant, adapter", *names], differences)


def _mean(interval: Interval | None) -> str:
    if interval is None:
        return "–"
    deviation = "" if interval.deviation is None else f" ({number(interval.deviation, 1)})"
    return f"{number(interval.mean, 1)}{deviation}"


def _primary(numbers: Numbers) -> str:
    tested = [
        one for one in numbers.primary if one.p is not None and one.interval and one.interval.n >= LEAST_SEEDS
    ]
    if not tested:
        return ""
    rows = [
        [f"{one.name}, {one.adapter}, {KINDS[one.kind]} wordings", points(one.interval), p_value(one.p)]
        for one in tested
        if one.interval
    ]
    return (
        f"The family of tests is `sapo` less `{BASELINE}` in score in task, AP and retention "
        f"({many(len(tested), 'test')}, Holm):\n\n" + markdown(["", "difference (95 %)", "p (Holm)"], rows)
    )


def _decomposition(numbers: Numbers) -> Iterator[str]:
    parts = numbers.decomposition
    if parts is None:
        return
    yield "### The new task's wording, or the old tasks' wordings"
    yield (
        "At the steps that were probed: how much less the earlier tasks lost with `sapo` than with "
        f"`{BASELINE}` in the sequences, own wordings, in points. The probe of the same steps says what the "
        "prompt of lowest loss does in place of the original *when only the new task's wording changes*. The "
        "rest comes from the wordings in which the old tasks were learned and are tested, and from the state "
        "that they left."
    )
    rows = [
        [name, *over_both(part)]
        for name, part in (
            ("sequences: sapo less fixed", parts.sequences),
            ("the new task's wording (probe: argmin less original)", parts.new),
            ("the rest", parts.rest),
        )
    ]
    headings = ["change of the earlier tasks", f"{len(parts.rest.values)} steps (95 %)", "seeds (95 %)"]
    yield markdown(headings, rows)


def _crossed(numbers: Numbers) -> Iterator[str]:
    if not numbers.crossed:
        return
    yield "### Crossed: wordings of the old tasks x wording of the new one"
    yield (
        "The old tasks are learned with the original or with SAPO's wordings, then the last one with either. "
        "Change of the old tasks' scores while the last one is learned, in points. Effects: mean over the "
        "other factor; `both`: SAPO's wordings everywhere less the originals everywhere. 95 %, with "
        "sequences as units."
    )
    headings = ["items, test wordings", *(f"old {old}, new {new}" for old, new in CELLS)]
    rows, effects = [], []
    for (what, kind), found in numbers.crossed.items():
        label = f"{len(found.new.values)} {what}s, {KINDS[kind]}"
        rows.append([label, *(number(found.cells[cell], 1, sign=True) for cell in CELLS)])
        effects.append([label, *map(_effect, (found.new, found.old, found.both))])
    yield markdown(headings, rows)
    yield markdown(["items, test wordings", "new task's wording", "old tasks' wordings", "both"], effects)


def _effect(over: OverProbes) -> str:
    return f"{number(over.probes.mean, 1, sign=True)}" + (
        f" ({span(over.probes.low, over.probes.high, 1)})" if enough(over) else ""
    )


def _others(numbers: Numbers) -> Iterator[str]:
    reasons = {(variant, other): reason for variant, other, reason in COMPARISONS}
    found = list(numbers.others)
    if not found:
        return
    yield "### Other comparisons"
    for (variant, other), reason in reasons.items():
        rows = [
            [
                f"{one.name}, {one.adapter}, {KINDS[one.kind]} wordings",
                points(one.interval),
                f"{one.above} of {one.interval.n}",
            ]
            for one in found
            if (one.variant, one.other) == (variant, other) and one.interval
        ]
        if rows:
            yield f"`{variant}` less `{other}`: {reason}."
            yield markdown(["", "difference (95 %)", "above"], rows)


def _updates(study: Study) -> Iterator[str]:
    cells = dict.fromkeys((run.adapter, run.variant) for run in study.runs)
    rows = []
    for adapter, variant in cells:
        one = difference(study, variant, BASELINE, adapter, "chosen", "update", of=mean_update)
        if one:
            less = "" if variant == BASELINE or one.interval is None else _ratio(one.interval, one.means)
            rows.append([f"{variant}, {adapter}", number(one.means.mean, 3), less])
    if rows:
        yield "### Size of the updates"
        yield "Frobenius norm of a block's product scale x B A over its layers, mean over tasks and seeds:"
        yield markdown(["variant, adapter", "mean", f"less `{BASELINE}` (95 %)"], rows)


def _ratio(interval: Interval, means: Interval) -> str:
    """The difference in percent of the baseline's mean."""
    base = means.mean - interval.mean
    if not base or interval.n < LEAST_SEEDS or interval.low is None or interval.high is None:
        return "–"
    low, high = 100 * interval.low / base, 100 * interval.high / base
    return f"{number(100 * interval.mean / base, 1, sign=True)} % ({span(low, high, 1)})"


def _originals(study: Study) -> str:
    """How often a variant's choice was the original, with which it equals the baseline."""
    rows = []
    for variant in dict.fromkeys(run.variant for run in study.runs):
        chosen = [
            candidate["index"]
            for run in study.runs
            if run.variant == variant
            for candidate in run.results["chosen"].values()
        ]
        rows.append([variant, f"{sum(index == 0 for index in chosen)} of {len(chosen)}"])
    text = "How often the wording that a task is tested with was its original one, over all runs:"
    return f"{text}\n\n{markdown(['variant', 'tasks'], rows)}"
