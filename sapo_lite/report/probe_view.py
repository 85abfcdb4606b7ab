"""What came out of probes, as tables and sentences."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from rich.console import Group, RenderableType
from rich.text import Text

from sapo_lite.compare.findings import LEVEL
from sapo_lite.compare.statistics import holm
from sapo_lite.probe.clusters import THRESHOLD
from sapo_lite.probe.correlation import Correlation, SeedInterval
from sapo_lite.probe.effects import (
    LossTest,
    Outcome,
    choice_by_loss,
    loss_tests,
    lowest_loss,
    noise,
    of_candidates,
    outcomes,
)
from sapo_lite.probe.results import ProbeResults
from sapo_lite.report.number_table import NumberTable
from sapo_lite.report.tables import shorten, spaced
from sapo_lite.support.messages import many, number, p_value

_TEXT = 60  # characters of a candidate in a table
_CHANGED = {
    "earlier": "change of earlier tasks",
    "later": "change of later tasks",
    "task": "score of the task",
}
_WORDINGS = {"chosen": "own"}  # kinds of test prompt by another name


def probe_summary(probes: Sequence[ProbeResults], home: Path) -> RenderableType:
    """A table of the candidates of each probe, the tests over all probes, and what they come to."""
    shown = [_candidates(probe) for probe in probes]
    tests = loss_tests(probes)
    said = Text("\n".join([*_units(probes), *_verdicts(tests, probes)]))
    choices: list[RenderableType] = [_choices(probes), Text("\n".join(_explained(probes)))]
    return Group(*spaced([*shown, _tests(tests), said, *choices, Text(f"everything is in {home}")]))


def _candidates(probe: ProbeResults) -> RenderableType:
    """A row for each candidate, the lowest loss first; means over row orders."""
    columns = {o: of_candidates(probe, o) for o in _first_kind(probe)}
    columns = {outcome: values for outcome, values in columns.items() if values}
    accurate = probe.candidates[0].accuracy is not None
    rows = []
    for place in sorted(range(len(probe.candidates)), key=lambda n: probe.candidates[n].loss):
        one = probe.candidates[place]
        own = [training for training in probe.trainings if training.candidate == one.index]
        row = [f"#{one.index}", str(one.cluster), f"{one.loss:.4f}"]
        row += [number(one.accuracy, 1)] if accurate else []
        row += [_mean([t.gradient_norm for t in own]), _mean([t.update for t in own])]
        row += [number(v[place], 1, sign=o.what != "task") for o, v in columns.items()]
        rows.append([*row, shorten(one.text, _TEXT)])
    named = {"earlier": "earlier", "later": "later", "task": "itself"}
    headings = ["", "cluster", "loss", *["accuracy"] * accurate, "|g|", "|dW|"]
    headings += [*(named[outcome.what] for outcome in columns), "candidate"]
    title = (
        f"seed {probe.seed}, {probe.task} after {', '.join(probe.tasks[: probe.learned])} ({probe.state}): "
        f"changes in points, {_named(next(iter(probe.before)))} wordings"
    )
    return NumberTable(title, headings, rows, tail=True)


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return number(fmean(known) if known else None, 3)


def _first_kind(probe: ProbeResults) -> list[Outcome]:
    kind = next(iter(probe.before))
    return [Outcome("earlier", kind), Outcome("later", kind), Outcome("task", kind)]


def _tests(tests: Sequence[LossTest]) -> RenderableType:
    rows = []
    for test, p in zip(tests, _adjusted(tests), strict=True):
        seeds = "-" if test.seeds is None else number(test.seeds.mean, sign=True)
        rows.append(
            [
                _short(test.outcome),
                _value(test.prompts),
                _value(test.clusters),
                p_value(test.clusters.p if test.clusters else None),
                p_value(p),
                f"{seeds} ({_bounds(test.seeds, 2)})",
                _value(test.within),
                p_value(test.within.p if test.within else None),
            ]
        )
    headings = ["loss and", "prompts", "clusters", "p", "p (Holm)", "seeds (95 %)", "within", "p"]
    title = "rank correlations of the loss before training with what came after it"
    return NumberTable(title, headings, rows, texts=1, fold=True)


def _adjusted(tests: Sequence[LossTest]) -> list[float | None]:
    """p-values with clusters as units, corrected for all tests of the table."""
    raw = [None if test.clusters is None else test.clusters.p for test in tests]
    adjusted = iter(holm([p for p in raw if p is not None]))
    return [None if p is None else next(adjusted) for p in raw]


def _units(probes: Sequence[ProbeResults]) -> Iterator[str]:
    seeds, prompts = len({probe.seed for probe in probes}), sum(len(probe.candidates) for probe in probes)
    clusters = sum(len({one.cluster for one in probe.candidates}) for probe in probes)
    yield (
        f"{many(len(probes), 'state')} of {many(seeds, 'seed')}: {many(prompts, 'candidate')} in "
        f"{many(clusters, 'cluster')}. A cluster has wordings that are nearly the same: of one core phrase "
        f"in the lab, elsewhere those that share {THRESHOLD:.0%} of their words and pairs of words. They are "
        "not independent, so p-values have clusters as units. `within` is among candidates of one cluster."
    )
    if seeds == 1:
        yield (
            "This is a single seed: it has no interval, and says nothing of other seeds. The p-values speak "
            "of these states alone."
        )


def _verdicts(tests: Sequence[LossTest], probes: Sequence[ProbeResults]) -> Iterator[str]:
    """A sentence for each test. It names a direction only if clusters and seeds agree on it."""
    several = len({probe.seed for probe in probes}) > 1
    for test, p in zip(tests, _adjusted(tests), strict=True):
        subject = f"Loss and {_label(test.outcome)}"
        if test.clusters is None or p is None or test.seeds is None:
            yield f"{subject}: nothing to correlate; one of them is the same for all clusters."
            continue
        value, low, high = test.clusters.value, test.seeds.low, test.seeds.high
        beyond = low is not None and high is not None and low * high > 0 and test.seeds.mean * value > 0
        if p < LEVEL and beyond:
            yield f"{subject}: candidates of lower loss ended {'higher' if value < 0 else 'lower'}."
        elif p < LEVEL and not several:
            way = "higher" if value < 0 else "lower"
            yield f"{subject}: candidates of lower loss ended {way} in this seed; other seeds are needed."
        elif p < LEVEL:
            yield f"{subject}: the test over clusters finds a relation, the interval over seeds does not."
        else:
            yield f"{subject}: no relation was found."


def _choices(probes: Sequence[ProbeResults]) -> NumberTable:
    """What choosing the candidate of the lowest loss brings, and the noise beside it."""
    rows = []
    for outcome in outcomes(probes):
        found, spread = choice_by_loss(probes, outcome), noise(probes, outcome)
        assert found is not None
        rows.append(
            [
                _short(outcome),
                *(_interval(one) for one in (found.original, found.mean, found.best)),
                f"{found.higher}/{found.equal}/{found.lower}",
                f"{found.beaten_by:.0%}",
                number(spread.between_orders if spread else None, 1),
                number(spread.between_candidates if spread else None, 1),
            ]
        )
    headings = ["lowest loss", "original", "mean", "best", "+/=/-", "beaten by", "orders", "candidates"]
    title = "choosing by loss: points above others (95 % over seeds); standard deviations"
    return NumberTable(title, headings, rows, texts=1, fold=True)


def _explained(probes: Sequence[ProbeResults]) -> Iterator[str]:
    """What the columns of the second table are."""
    chosen = len({(probe.seed, probe.learned, _cluster_of_choice(probe)) for probe in probes})
    seeds = len({probe.seed for probe in probes})
    yield (
        f"The choices are of {many(chosen, 'cluster')} and {many(seeds, 'seed')}. +/=/- counts states in "
        "which the choice is above the original, equal to it, below it; `beaten by` is the share of the "
        "other candidates that end higher. Standard deviations in points: `orders` between trainings of one "
        "candidate in other row orders, which is noise; `candidates` between the candidates of a state."
    )
    if len({training.order for training in probes[0].trainings}) == 1:
        yield "One row order: how much of a difference is the noise of a training is not known (--orders 2)."


def _cluster_of_choice(probe: ProbeResults) -> int:
    return probe.candidates[lowest_loss(probe)].cluster


def _short(outcome: Outcome) -> str:
    of = {"earlier": "earlier tasks", "later": "later tasks", "task": "the task"}
    return f"{of[outcome.what]}, {_named(outcome.kind)}"


def _label(outcome: Outcome) -> str:
    return f"{_CHANGED[outcome.what]}, {_named(outcome.kind)} wordings"


def _named(kind: str) -> str:
    return _WORDINGS.get(kind, kind)


def _value(found: Correlation | None) -> str:
    return number(found.value if found else None, sign=True)


def _bounds(found: SeedInterval | None, places: int) -> str:
    if found is None or found.low is None:
        return "-"
    return f"{number(found.low, places, sign=True)} to {number(found.high, places, sign=True)}"


def _interval(found: SeedInterval) -> str:
    """`+5.9 (-3.8 to +15.5)`; without bounds for a single seed."""
    mean = number(found.mean, 1, sign=True)
    return mean if found.low is None else f"{mean} ({_bounds(found, 1)})"
