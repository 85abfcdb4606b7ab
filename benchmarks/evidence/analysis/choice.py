"""What choosing a prompt by an indicator before training brings, in points of an outcome."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.evidence.analysis.outcomes import Outcome, candidate_outcomes, group, shared_orders
from benchmarks.evidence.analysis.probe_tests import RankTest, rank_test, with_holm
from sapo_lite.compare.statistics import Interval, mean_interval
from sapo_lite.probe.results import ProbeResults

ORIGINAL = 0  # index of the original instruction


@dataclass(frozen=True)
class OverProbes:
    """A quantity of each probe, with probes and with seeds as units."""

    values: list[float]
    probes: Interval
    seeds: Interval


def over_probes(values: Sequence[tuple[int, float]]) -> OverProbes | None:
    """From (seed, value) of each probe; None without any. A seed's value is the mean of its probes."""
    if not values:
        return None
    alone = [value for _, value in values]
    by_seed: dict[int, list[float]] = {}
    for seed, value in values:
        by_seed.setdefault(seed, []).append(value)
    return OverProbes(alone, mean_interval(alone), mean_interval([fmean(of) for of in by_seed.values()]))


@dataclass(frozen=True)
class ArgminEffect:
    """An outcome of the prompt of lowest loss, less that of others in the same probe.

    original: less that of the original instruction; probes in which it is the original count as 0
    same: number of probes in which the prompt of lowest loss is the original
    mean, best: less the mean of all candidates, and less the best one
    better: share of the other candidates that are better, in percent
    """

    argmin: float
    original: OverProbes
    same: int
    mean: OverProbes
    best: OverProbes
    better: float


def argmin_effect(probes: Sequence[ProbeResults], outcome: Outcome) -> ArgminEffect | None:
    """None if no probe has the outcome."""
    found = [(probe, y) for probe in probes if (y := candidate_outcomes(probe, outcome))]
    if not found:
        return None
    chosen = [best_place(probe, losses) for probe, _ in found]
    pairs = [(probe.seed, y, place) for (probe, y), place in zip(found, chosen, strict=True)]
    original = over_probes([(seed, y[place] - y[ORIGINAL]) for seed, y, place in pairs])
    mean = over_probes([(seed, y[place] - fmean(y)) for seed, y, place in pairs])
    best = over_probes([(seed, y[place] - max(y)) for seed, y, place in pairs])
    assert original
    assert mean
    assert best
    better = fmean(sum(value > y[place] for value in y) / (len(y) - 1) for _, y, place in pairs)
    argmin = fmean(y[place] for _, y, place in pairs)
    return ArgminEffect(argmin, original, sum(p == ORIGINAL for p in chosen), mean, best, 100 * better)


Quantity = Callable[[ProbeResults], list[float] | None]


def losses(probe: ProbeResults) -> list[float]:
    return [candidate.loss for candidate in probe.candidates]


def _errors(probe: ProbeResults) -> list[float] | None:
    found = [c.accuracy for c in probe.candidates]
    return None if any(a is None for a in found) else [-a for a in found if a is not None]


def _lengths(probe: ProbeResults) -> list[float]:
    return [float(candidate.length) for candidate in probe.candidates]


def gradient_norms(probe: ProbeResults) -> list[float] | None:
    return _of_trainings(probe, "gradient_norm")


def update_sizes(probe: ProbeResults) -> list[float] | None:
    return _of_trainings(probe, "update")


def _of_trainings(probe: ProbeResults, field: str) -> list[float] | None:
    """A field of the trainings by candidate, mean over the row orders that all candidates have."""
    orders, means = shared_orders(probe), []
    for candidate in probe.candidates:
        own = [t for t in probe.trainings if t.candidate == candidate.index and t.order in orders]
        values = [getattr(training, field) for training in own]
        if not values or None in values:
            return None
        means.append(fmean(values))
    return means


# By name: of each, the lowest value is chosen. The size of the update is known only after training.
INDICATORS: Mapping[str, Quantity] = {
    "loss": losses,
    "accuracy (highest)": _errors,
    "length": _lengths,
    "gradient norm": gradient_norms,
    "size of the update (after training)": update_sizes,
}


@dataclass(frozen=True)
class IndicatorTest:
    """An indicator against an outcome.

    test: rank correlation; negative if candidates of low values (of accuracy: high ones) end higher
    regret: the best candidate's outcome less that of the indicator's choice, in points
    to_loss: the choice's outcome less that of the choice by loss; None for loss itself
    """

    test: RankTest
    regret: OverProbes
    to_loss: OverProbes | None


def indicator_tests(
    probes: Sequence[ProbeResults], outcome: Outcome, permutations: int
) -> dict[str, IndicatorTest]:
    """All indicators that were measured, against one outcome: one family of tests."""
    found = {name: one for name in INDICATORS if (one := _indicator(probes, outcome, name, permutations))}
    adjusted = with_holm([one.test for one in found.values()])
    return {
        name: IndicatorTest(test, one.regret, one.to_loss)
        for (name, one), test in zip(found.items(), adjusted, strict=True)
    }


def _indicator(
    probes: Sequence[ProbeResults], outcome: Outcome, name: str, permutations: int
) -> IndicatorTest | None:
    groups, regrets, to_loss = [], [], []
    for probe in probes:
        x, y = INDICATORS[name](probe), candidate_outcomes(probe, outcome)
        if x is None or not y:
            continue
        groups.append(group(probe, x, y))
        place = best_place(probe, INDICATORS[name])
        regrets.append((probe.seed, max(y) - y[place]))
        to_loss.append((probe.seed, y[place] - y[best_place(probe, losses)]))
    regret = over_probes(regrets)
    if regret is None:
        return None
    test = rank_test(groups, permutations, within=False)
    return IndicatorTest(test, regret, None if name == "loss" else over_probes(to_loss))


def best_place(probe: ProbeResults, indicator: Quantity) -> int:
    """Place of the candidate of the lowest value; a tie goes to the earlier one."""
    values = indicator(probe)
    assert values is not None
    return min(range(len(values)), key=values.__getitem__)
