"""What came out of probes: outcomes of every candidate, tests of loss against them, the choice by loss."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, pvariance, variance
from typing import Literal

from sapo_lite.probe.correlation import (
    Correlation,
    Group,
    SeedInterval,
    cluster_test,
    interval,
    pooled,
    seed_interval,
    within_clusters_test,
)
from sapo_lite.probe.results import ProbeResults, ProbeTraining

What = Literal["earlier", "later", "task"]
PERMUTATIONS = 10_000
_PLACES = 6  # of outcomes: sums in other orders must not break ties


@dataclass(frozen=True)
class Outcome:
    """A quantity after training: mean change of earlier or later tasks in points, or the task's own score.

    kind: kind of test prompt
    """

    what: What
    kind: str


@dataclass(frozen=True)
class LossTest:
    """Loss before training against one outcome.

    prompts: with prompts as units, without a p-value: near-equal prompts would be counted as different ones
    clusters, within, seeds: see sapo_lite.probe.correlation; None if nothing varies there
    """

    outcome: Outcome
    prompts: Correlation | None
    clusters: Correlation | None
    within: Correlation | None
    seeds: SeedInterval | None


@dataclass(frozen=True)
class ChoiceByLoss:
    """An outcome of the candidate of the lowest loss, minus that of others in the same probe, in points.

    original, mean, best: minus that of the original instruction, of the mean candidate, of the best one;
        means over seeds
    higher, equal, lower: numbers of probes by the comparison with the original
    beaten_by: share of the other candidates whose outcome is higher, in [0, 1], mean over probes
    """

    outcome: Outcome
    original: SeedInterval
    mean: SeedInterval
    best: SeedInterval
    higher: int
    equal: int
    lower: int
    beaten_by: float


@dataclass(frozen=True)
class Noise:
    """Standard deviations of an outcome in points: between the row orders of one candidate (root of the mean
    variance), and between the candidates of one probe (of their means over row orders)."""

    outcome: Outcome
    between_orders: float
    between_candidates: float


def outcomes(probes: Sequence[ProbeResults]) -> list[Outcome]:
    """The outcomes that the probes have, without those that are equal to one before in every probe.

    In a state of original instructions, the own wordings of earlier tasks are the original ones.
    """
    found: dict[str, Outcome] = {}
    whats: tuple[What, ...] = ("earlier", "later", "task")
    for what in whats:
        for kind in probes[0].before:
            values = [of_candidates(probe, Outcome(what, kind)) for probe in probes]
            if any(values):
                found.setdefault(f"{what} {values}", Outcome(what, kind))
    return list(found.values())


def of_candidates(probe: ProbeResults, outcome: Outcome) -> list[float]:
    """The outcome by candidate, mean over row orders; empty if there are no such tasks."""
    by_order = [_of_orders(probe, candidate.index, outcome) for candidate in probe.candidates]
    return [round(fmean(values), _PLACES) for values in by_order] if all(by_order) else []


def _of_orders(probe: ProbeResults, candidate: int, outcome: Outcome) -> list[float]:
    own = [training for training in probe.trainings if training.candidate == candidate]
    return [value for one in own if (value := _of_training(probe, one, outcome)) is not None]


def _of_training(probe: ProbeResults, training: ProbeTraining, outcome: Outcome) -> float | None:
    after, before = training.scores[outcome.kind], probe.before[outcome.kind]
    if outcome.what == "task":
        return after[probe.task]
    is_earlier = outcome.what == "earlier"
    tasks = probe.tasks[: probe.learned] if is_earlier else probe.tasks[probe.learned + 1 :]
    return fmean(after[task] - before[task] for task in tasks) if tasks else None


def loss_tests(probes: Sequence[ProbeResults], permutations: int = PERMUTATIONS) -> list[LossTest]:
    """Loss against every outcome."""
    found = []
    for outcome in outcomes(probes):
        groups = list(_groups(probes, outcome))
        found.append(
            LossTest(
                outcome,
                pooled(groups),
                cluster_test(groups, permutations),
                within_clusters_test(groups, permutations),
                seed_interval(groups),
            )
        )
    return found


def _groups(probes: Sequence[ProbeResults], outcome: Outcome) -> Iterator[Group]:
    for probe in probes:
        if y := of_candidates(probe, outcome):
            losses = [candidate.loss for candidate in probe.candidates]
            yield Group(losses, y, [candidate.cluster for candidate in probe.candidates], probe.seed)


def lowest_loss(probe: ProbeResults) -> int:
    """Place of the candidate of the lowest loss; a tie goes to the earlier one."""
    return min(range(len(probe.candidates)), key=lambda place: probe.candidates[place].loss)


def choice_by_loss(probes: Sequence[ProbeResults], outcome: Outcome) -> ChoiceByLoss | None:
    """The effect of choosing by loss; None if no probe has the outcome."""
    found = [(probe, y, lowest_loss(probe)) for probe in probes if (y := of_candidates(probe, outcome))]
    seeds = [probe.seed for probe, _, _ in found]
    original = [y[place] - y[0] for _, y, place in found]
    over_seeds = [
        _over_seeds(seeds, values)
        for values in (
            original,
            [y[place] - fmean(y) for _, y, place in found],
            [y[place] - max(y) for _, y, place in found],
        )
    ]
    if None in over_seeds:
        return None
    to_original, to_mean, to_best = (one for one in over_seeds if one is not None)
    better = [sum(value > y[place] for value in y) / max(1, len(y) - 1) for _, y, place in found]
    return ChoiceByLoss(
        outcome,
        to_original,
        to_mean,
        to_best,
        higher=sum(value > 0 for value in original),
        equal=original.count(0),
        lower=sum(value < 0 for value in original),
        beaten_by=fmean(better),
    )


def _over_seeds(seeds: Sequence[int], values: Sequence[float]) -> SeedInterval | None:
    by_seed: dict[int, list[float]] = {}
    for seed, value in zip(seeds, values, strict=True):
        by_seed.setdefault(seed, []).append(value)
    return interval([fmean(of_seed) for of_seed in by_seed.values()])


def noise(probes: Sequence[ProbeResults], outcome: Outcome) -> Noise | None:
    """The noise of an outcome; None with a single row order, or if no probe has the outcome."""
    within, between = [], []
    for probe in probes:
        by_order = [_of_orders(probe, candidate.index, outcome) for candidate in probe.candidates]
        if all(len(values) > 1 for values in by_order):
            within += [variance(values) for values in by_order]
            between.append(pvariance([fmean(values) for values in by_order]))
    return Noise(outcome, fmean(within) ** 0.5, fmean(between) ** 0.5) if within else None
