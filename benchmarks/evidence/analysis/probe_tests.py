"""Loss before training against every outcome after it, with clusters of prompts and with seeds as units."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.evidence.analysis.outcomes import Outcome, candidate_outcomes, loss_groups, outcomes
from benchmarks.evidence.analysis.study import LEAST_SEEDS
from sapo_lite.compare.findings import LEVEL
from sapo_lite.compare.statistics import holm
from sapo_lite.probe.correlation import (
    Correlation,
    Group,
    SeedInterval,
    cluster_test,
    pooled,
    seed_interval,
    within_clusters_test,
)
from sapo_lite.probe.results import ProbeResults


@dataclass(frozen=True)
class RankTest:
    """Rank correlation of two quantities over candidates, within each probe.

    prompts: with prompts as units: without a p-value, which would count near-equal prompts several times
    clusters: of means over clusters, with clusters as units: the test
    within: among the prompts of each cluster; None if that was not asked
    seeds: mean correlation, with seeds as units
    p: of `clusters`, with Holm's correction over the family of tests; None outside of one
    """

    prompts: Correlation | None
    clusters: Correlation | None
    within: Correlation | None
    seeds: SeedInterval | None
    p: float | None = None

    @property
    def found(self) -> bool:
        """Whether the test over clusters and the interval over seeds agree that there is a relation."""
        if self.clusters is None or self.p is None or not self.enough or self.seeds is None:
            return False
        low, high = self.seeds.low, self.seeds.high
        same_side = low is not None and high is not None and low * high > 0
        return same_side and self.p < LEVEL and self.seeds.mean * self.clusters.value > 0

    @property
    def enough(self) -> bool:
        """Whether there are enough seeds for a conclusion."""
        return self.seeds is not None and self.seeds.n >= LEAST_SEEDS


def rank_test(groups: Sequence[Group], permutations: int, *, within: bool = True) -> RankTest:
    """`within`: with the test among the prompts of each cluster."""
    return RankTest(
        pooled(groups),
        cluster_test(groups, permutations),
        within_clusters_test(groups, permutations) if within else None,
        seed_interval(groups),
    )


def with_holm(tests: Sequence[RankTest]) -> list[RankTest]:
    """The tests with the p-values of their clusters adjusted for all of them."""
    raw = [test.clusters.p for test in tests if test.clusters and test.clusters.p is not None]
    adjusted = iter(holm(raw))
    return [
        replace(test, p=next(adjusted)) if test.clusters and test.clusters.p is not None else test
        for test in tests
    ]


def outcome_tests(probes: Sequence[ProbeResults], permutations: int) -> dict[Outcome, RankTest]:
    """Loss against all outcomes of the probes: one family of tests."""
    found = outcomes(probes)
    tests = [rank_test(loss_groups(probes, outcome), permutations) for outcome in found]
    return dict(zip(found, with_holm(tests), strict=True))


Setting = tuple[str, str, str, float]  # (recipe, state, adapter, learning rate)


def by_setting(probes: Sequence[ProbeResults]) -> dict[Setting, list[ProbeResults]]:
    """Probes by what they share but seed and step; the setting with the most probes first."""
    found: dict[Setting, list[ProbeResults]] = {}
    for probe in probes:
        setting = (probe.recipe, probe.state, probe.adapter, probe.learning_rate)
        found.setdefault(setting, []).append(probe)
    return dict(sorted(found.items(), key=lambda one: -len(one[1])))


def earlier_task_groups(probes: Sequence[ProbeResults], kind: str) -> list[Group]:
    """A candidate's effect on the first earlier task, and the mean of its effects on the other earlier ones.

    One group for each probe with two earlier tasks or more, so that no candidate is counted twice.
    """
    return [
        group
        for probe in probes
        if probe.learned > 1 and (group := _first_against_others(probe, kind)) is not None
    ]


def _first_against_others(probe: ProbeResults, kind: str) -> Group | None:
    first = _effects(probe, probe.tasks[:1], kind)
    others = _effects(probe, probe.tasks[1 : probe.learned], kind)
    clusters = [candidate.cluster for candidate in probe.candidates]
    return Group(first, others, clusters, probe.seed) if first and others else None


def _effects(probe: ProbeResults, tasks: Sequence[str], kind: str) -> list[float]:
    """Mean change of some tasks by candidate, in the order of `probe.candidates`."""
    # These tasks alone, taken for the ones learned earlier.
    part = replace(
        probe,
        tasks=[*tasks, probe.task],
        learned=len(tasks),
        before=_only(probe.before, tasks),
    )
    return candidate_outcomes(part, Outcome("earlier", "change", kind))


def _only(scores: Mapping[str, Mapping[str, float]], tasks: Sequence[str]) -> dict[str, dict[str, float]]:
    return {kind: {t: s for t, s in of.items() if t in tasks} for kind, of in scores.items()}
