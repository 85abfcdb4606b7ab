"""From raw results to the numbers that the document reports."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.evidence.statistics import (
    Correlation,
    Interval,
    holm,
    mean_interval,
    paired,
    pooled_correlation,
    rank_correlation,
)

METRIC = "rougeL"  # the published one
KINDS = {"chosen": "own", "original": "original", "unseen": "unseen"}
CONTINUAL = ("ap", "bwt", "fwt")
BASELINE = "fixed"
_SEED = 0  # of the permutations

# (what, kind of prompt) of the tests on probes. Earlier and later tasks were not learned with another
# wording than the original, so "chosen" is that, too; only the task in question has three kinds.
OUTCOMES = (
    ("earlier", "chosen"),
    ("earlier", "unseen"),
    ("later", "chosen"),
    ("later", "unseen"),
    ("task", "chosen"),
    ("task", "original"),
    ("task", "unseen"),
)


@dataclass(frozen=True)
class ProbeTest:
    """Loss before the update against one outcome after it.

    by_transition: rank correlation of each; None where loss or outcome is the same for all candidates,
        or where there are no such tasks
    pooled: over all transitions, by ranks within them; its p-value is not adjusted, `p` is (Holm)
    over_transitions: the mean of `by_transition`, with transitions as units
    """

    what: str
    kind: str
    by_transition: list[float | None]
    pooled: Correlation | None
    p: float | None
    over_transitions: Interval | None


def outcome(transition: Mapping[str, Any], row: Mapping[str, Any], what: str, kind: str) -> float | None:
    """In percent: the score of the task itself, or the mean change of the score on earlier or later tasks."""
    learned, after, before = transition["learned"], row["scores"][kind], transition["before"][kind]
    if what == "task":
        score: float = after[learned][METRIC]
        return score
    columns = range(learned) if what == "earlier" else range(learned + 1, len(after))
    changes = [after[j][METRIC] - before[j][METRIC] for j in columns]
    return math.fsum(changes) / len(changes) if changes else None


def pairs(transition: Mapping[str, Any], what: str, kind: str) -> tuple[list[float], list[float]]:
    """(losses, outcomes) of all candidates; empty where there are no such tasks."""
    found = [(row["loss"], outcome(transition, row, what, kind)) for row in transition["rows"]]
    # Sums of floats in other orders must not break ties.
    kept = [(loss, round(value, 6)) for loss, value in found if value is not None]
    return [loss for loss, _ in kept], [value for _, value in kept]


def probe_tests(content: Mapping[str, Any]) -> list[ProbeTest]:
    """All tests on probes, adjusted for each other."""
    transitions, permutations = content["transitions"], content["permutations"]
    found = []
    for what, kind in OUTCOMES:
        groups = [pairs(transition, what, kind) for transition in transitions]
        alone = [rank_correlation(x, y) if x else None for x, y in groups]
        pooled = pooled_correlation([g for g in groups if g[0]], permutations=permutations, seed=_SEED)
        measured = [value for value in alone if value is not None]
        found.append((what, kind, alone, pooled, mean_interval(measured) if measured else None))
    adjusted = iter(holm([pooled.p for *_, pooled, _ in found if pooled]))
    return [
        ProbeTest(what, kind, alone, pooled, next(adjusted) if pooled else None, over)
        for what, kind, alone, pooled, over in found
    ]


@dataclass(frozen=True)
class Compared:
    """A continual-learning metric of one strategy on one adapter, over seeds, in percent.

    difference: to the baseline on the same seeds; None for the baseline itself
    higher: in how many seeds it was above the baseline
    p: of the difference, adjusted by Holm for all differences of the document
    """

    strategy: str
    adapter: str
    kind: str
    metric: str
    values: list[float]
    over_seeds: Interval
    difference: Interval | None
    higher: int
    p: float | None


def comparisons(content: Mapping[str, Any]) -> list[Compared]:
    """All of them: strategies x adapters x kinds of prompt x metrics."""
    seeds: Sequence[int] = content["seeds"]
    cells = {(c["strategy"], c["adapter"], c["seed"]): c["metrics"] for c in content["cells"]}
    ways = list(dict.fromkeys((strategy, adapter) for strategy, adapter, _ in cells))
    found: list[tuple[Any, ...]] = []
    for kind in KINDS:
        for metric in CONTINUAL:
            # Tasks that are not learned yet have no other wording of their own than the original.
            for strategy, adapter in ways if (kind, metric) != ("chosen", "fwt") else ():
                values = [cells[strategy, adapter, seed][kind][METRIC][metric] for seed in seeds]
                base = [cells[BASELINE, adapter, seed][kind][METRIC][metric] for seed in seeds]
                difference = None if strategy == BASELINE else paired(values, base)
                higher = sum(a > b for a, b in zip(values, base, strict=True))
                found.append((strategy, adapter, kind, metric, values, difference, higher))
    adjusted = iter(holm([d.p for *_, d, _ in found if d and d.p is not None]))
    return [
        Compared(
            *(strategy, adapter, kind, metric, values, mean_interval(values), difference, higher),
            p=next(adjusted) if difference and difference.p is not None else None,
        )
        for strategy, adapter, kind, metric, values, difference, higher in found
    ]
