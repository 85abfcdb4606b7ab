"""The claims table: claim, verdict, test, unit, estimate, interval, p and files; the surprising first."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from benchmarks.evidence.analysis.choice import OverProbes
from benchmarks.evidence.analysis.measures import Difference
from benchmarks.evidence.analysis.numbers import Numbers
from benchmarks.evidence.analysis.outcomes import Outcome
from benchmarks.evidence.analysis.paper import InTask
from benchmarks.evidence.analysis.probe_tests import RankTest
from benchmarks.evidence.analysis.study import KINDS, LEAST_SEEDS, MARGIN
from benchmarks.evidence.report.text import rho, span
from sapo_lite.compare.findings import LEVEL
from sapo_lite.compare.statistics import Interval, holm
from sapo_lite.support.messages import many, markdown, number, p_value

Verdict = Literal["against the claim", "not shown", "found", "as claimed", "too few seeds"]
_ORDER: tuple[Verdict, ...] = ("against the claim", "not shown", "found", "as claimed", "too few seeds")

# What is claimed of a difference or a correlation: its sign; 0: none; None: the paper says nothing of it.
Expected = Literal[-1, 0, 1] | None


@dataclass(frozen=True)
class Claim:
    """One row of the table, as it is printed."""

    claim: str
    verdict: Verdict
    test: str
    unit: str
    estimate: str
    interval: str
    p: str
    files: str


def claims(numbers: Numbers) -> list[Claim]:
    """All claims of a study, those against what is claimed first."""
    found = [
        *_equivalences(numbers),
        *_correlations(numbers),
        # In-task scores under common test prompts are in the tests of equivalence.
        *(_difference(one) for one in numbers.primary if one.name != "in-task" or one.kind == "chosen"),
        *_effects(numbers),
    ]
    return sorted(found, key=lambda claim: _ORDER.index(claim.verdict))


def claims_table(found: Sequence[Claim]) -> str:
    headings = ["claim", "verdict", "test", "unit", "estimate", "95 % interval", "p", "raw results"]
    return markdown(headings, [list(asdict(claim).values()) for claim in found], texts=4)


def _equivalences(numbers: Numbers) -> Iterator[Claim]:
    """Equal learning under common test prompts: tests of equivalence, a family of their own.

    What speaks against it are the tests of a difference, in the family of `primary`.
    """
    differences = {(d.adapter, d.kind): d.p for d in numbers.primary if d.name == "in-task"}
    common = [one for one in numbers.in_task if one.kind != "chosen"]
    adjusted = iter(holm([one.test.p for one in common if one.test.p is not None]))
    for one in common:
        p = None if one.test.p is None else next(adjusted)
        apart = differences.get((one.adapter, one.kind))
        yield _equivalence(one, p, apart)


def _equivalence(one: InTask, p: float | None, apart: float | None) -> Claim:
    few = one.test.n < LEAST_SEEDS
    if few:
        verdict: Verdict = "too few seeds"
    elif p is not None and p < LEVEL:
        verdict = "as claimed"
    else:
        verdict = "against the claim" if apart is not None and apart < LEVEL else "not shown"
    return Claim(
        f"The new task is learned as well with SAPO's wording, within {number(MARGIN, 0)} points "
        f"({one.adapter}, {KINDS[one.kind]} test wordings)",
        verdict,
        "TOST of in-task scores, sapo - fixed",
        many(one.test.n, "seed"),
        number(one.test.mean, 1, sign=True),
        "–" if few else span(one.low, one.high, 1),
        "–" if few else p_value(p),
        "runs/",
    )


def _correlations(numbers: Numbers) -> Iterator[Claim]:
    for outcome, test in numbers.tests.items():
        if outcome.what == "task":
            yield _rank(f"The loss before training says nothing of learning: {outcome.label}", test, 0)
        else:
            yield _rank(f"Prompts of lower loss leave more: {outcome.label}", test, -1)
    for name, test in numbers.cross_task.items():
        yield _rank(f"Prompts that harm some tasks harm others: {name}", test, 1)


def _rank(text: str, test: RankTest, expected: Expected) -> Claim:
    seeds, clusters, few = test.seeds, test.clusters, not test.enough
    sign = 0 if not test.found or clusters is None else (1 if clusters.value > 0 else -1)
    return Claim(
        text,
        "too few seeds" if few else _verdict(sign, expected),
        "rank correlation, clusters permuted",
        f"{clusters.units if clusters else 0} clusters; {many(seeds.n if seeds else 0, 'seed')}",
        rho(clusters.value if clusters else None),
        "–" if few or seeds is None else span(seeds.low, seeds.high, 2),
        "–" if few else p_value(test.p),
        "probes/",
    )


def _verdict(sign: int, expected: Expected) -> Verdict:
    """`sign`: of what was found; 0 if nothing was."""
    if sign == 0:
        return "not shown"
    if expected is None:
        return "found"
    return "as claimed" if sign == expected else "against the claim"


def _difference(one: Difference) -> Claim:
    expected: Expected = 1
    what = f"{one.name[0].upper()}{one.name[1:]} is higher with {one.variant} than with {one.other}"
    if one.name == "in-task":
        expected, what = 0, f"In-task scores of {one.variant} and {one.other} do not differ"
    assert one.interval is not None
    where = f"({one.adapter}, {KINDS[one.kind]} test wordings)"
    return _interval(f"{what} {where}", one.interval, one.p, expected)


def _interval(text: str, found: Interval, p: float | None, expected: Expected, files: str = "runs/") -> Claim:
    """A difference over seeds. It is found if its adjusted p and its interval agree."""
    few = found.n < LEAST_SEEDS
    away = found.low is not None and found.high is not None and found.low * found.high > 0
    sign = (1 if found.mean > 0 else -1) if away and p is not None and p < LEVEL else 0
    return Claim(
        text,
        "too few seeds" if few else _verdict(sign, expected),
        "paired t test",
        many(found.n, "seed"),
        number(found.mean, 1, sign=True),
        "–" if few else span(found.low, found.high, 1),
        "–" if few else p_value(p),
        files,
    )


def _effects(numbers: Numbers) -> list[Claim]:
    """Effects of wordings and the further comparisons: one family of tests."""
    found: list[tuple[str, Interval, Expected, str]] = []
    for kind in ("chosen", "unseen"):
        if effect := numbers.effects.get(outcome := Outcome("earlier", "change", kind)):
            text = f"The prompt of lowest loss leaves more than the original, from one state: {outcome.label}"
            found.append((text, effect.original.seeds, 1, "probes/"))
    if parts := numbers.decomposition:
        text = "Of SAPO's lesser forgetting in sequences, a part is not the new task's wording"
        found.append((text, parts.rest.seeds, None, "runs/, probes/"))
    for (what, kind), effects in numbers.crossed.items():
        if kind not in ("chosen", "unseen"):  # the others are in the section of the design
            continue
        where = f"(crossed design, {what}s, {KINDS[kind]} test wordings)"
        both: Sequence[tuple[str, OverProbes, Expected]] = (
            ("SAPO's wording of the new task spares the old ones", effects.new, 1),
            ("SAPO's wording of the old tasks makes them last", effects.old, None),
        )
        found += [(f"{text} {where}", over.seeds, sign, "crossed/") for text, over, sign in both]
    for one in numbers.others:
        if one.name == "AP" and one.interval:
            expected: Expected = None if one.variant.startswith("paft") else 1
            where = f"({one.adapter}, {KINDS[one.kind]} test wordings)"
            text = f"AP is higher with {one.variant} than with {one.other} {where}"
            found.append((text, one.interval, expected, "runs/"))
    tested = [interval.p for _, interval, *_ in found if interval.p is not None]
    adjusted = iter(holm(tested))
    return [
        _interval(text, interval, None if interval.p is None else next(adjusted), expected, files)
        for text, interval, expected, files in found
    ]
