"""The paper's three claims, as tests: equal learning, correlated effects, and the loss as the indicator."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.evidence.analysis.choice import ORIGINAL
from benchmarks.evidence.analysis.measures import measure
from benchmarks.evidence.analysis.outcomes import Outcome, candidate_outcomes, group, outcomes
from benchmarks.evidence.analysis.probe_tests import RankTest, earlier_task_groups, rank_test, with_holm
from benchmarks.evidence.analysis.study import BASELINE, KINDS, MARGIN, PERMUTATIONS, Study
from sapo_lite.compare.statistics import Equivalence, equivalence, mean_interval
from sapo_lite.probe.results import ProbeResults


@dataclass(frozen=True)
class InTask:
    """Scores right after learning, of one variant less the baseline, under a common kind of test prompt.

    test: seeds as units
    low, high: 95 % interval of the mean difference; None with fewer than two seeds
    """

    adapter: str
    kind: str
    test: Equivalence
    low: float | None
    high: float | None


def in_task_equivalence(study: Study, variant: str = "sapo") -> list[InTask]:
    """All kinds, on all adapters. Only "original", "unseen" and "other" are the same prompts for both."""
    found = []
    for adapter in study.adapters:
        ours, theirs = study.by_seed(variant, adapter), study.by_seed(BASELINE, adapter)
        for kind in KINDS:
            pairs = [
                (measure(ours[seed], kind, "in-task"), measure(theirs[seed], kind, "in-task"))
                for seed in sorted(set(ours) & set(theirs))
            ]
            differences = [a - b for a, b in pairs if a is not None and b is not None]
            if differences:
                interval = mean_interval(differences)
                test = equivalence(differences, MARGIN)
                found.append(InTask(adapter, kind, test, interval.low, interval.high))
    return found


@dataclass(frozen=True)
class Spread:
    """How far the candidates of a probe lie apart in an outcome, in points, mean over probes.

    width: best less worst candidate
    deviation: standard deviation over candidates
    original: the original's place between the worst (0) and the best (100)
    """

    width: float
    deviation: float
    original: float


def spread(probes: Sequence[ProbeResults], outcome: Outcome) -> Spread | None:
    """None if no probe has the outcome."""
    every = [y for probe in probes if (y := candidate_outcomes(probe, outcome))]
    if not every:
        return None
    deviations = [interval.deviation or 0.0 for interval in map(mean_interval, every)]
    places = [100 * (y[ORIGINAL] - min(y)) / (max(y) - min(y)) if max(y) > min(y) else 50.0 for y in every]
    return Spread(fmean(max(y) - min(y) for y in every), fmean(deviations), fmean(places))


def cross_task_tests(probes: Sequence[ProbeResults]) -> dict[str, RankTest]:
    """Whether a prompt that harms one task's scores harms those of other tasks: one family of tests."""
    found: dict[str, RankTest] = {}
    for kind in dict.fromkeys(outcome.kind for outcome in outcomes(probes) if outcome.what == "earlier"):
        pairs = {
            f"first earlier task and the other earlier ones, {KINDS[kind]} wordings": earlier_task_groups(
                probes, kind
            ),
            f"earlier tasks and later ones, {KINDS[kind]} wordings": [
                group(probe, x, y)
                for probe in probes
                if (x := candidate_outcomes(probe, Outcome("earlier", "change", kind)))
                and (y := candidate_outcomes(probe, Outcome("later", "change", kind)))
            ],
        }
        found |= {name: rank_test(groups, PERMUTATIONS) for name, groups in pairs.items() if groups}
    return dict(zip(found, with_holm(list(found.values())), strict=True))
