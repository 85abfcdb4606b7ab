"""Two controls of the probes: the size of the update as the mechanism, and the noise of a training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.evidence.analysis.choice import Quantity
from benchmarks.evidence.analysis.outcomes import (
    Outcome,
    candidate_outcomes,
    group,
    shared_orders,
    training_outcome,
)
from benchmarks.evidence.analysis.probe_tests import RankTest, rank_test
from sapo_lite.probe.correlation import Group, pooled
from sapo_lite.probe.results import ProbeResults

_PLACES = 9  # of residuals: equal ones must be ties


def partial_test(
    probes: Sequence[ProbeResults], outcome: Outcome, x: Quantity, given: Quantity, permutations: int
) -> RankTest | None:
    """Rank correlation of a quantity and an outcome, given another quantity; None if one was not measured.

    In each probe, the ranks of both are taken less their linear fit on the ranks of the third, and what is
    left is tested as any pair.
    """
    groups = []
    for probe in probes:
        values, third, y = x(probe), given(probe), candidate_outcomes(probe, outcome)
        if values and third and y:
            groups.append(group(probe, _left(values, third), _left(y, third)))
    return rank_test(groups, permutations) if groups else None


def plain_test(
    probes: Sequence[ProbeResults], outcome: Outcome, x: Quantity, permutations: int
) -> RankTest | None:
    """Rank correlation of a quantity and an outcome; None if the quantity was not measured."""
    groups = [
        group(probe, values, y)
        for probe in probes
        if (values := x(probe)) and (y := candidate_outcomes(probe, outcome))
    ]
    return rank_test(groups, permutations) if groups else None


def _left(values: Sequence[float], given: Sequence[float]) -> list[float]:
    """Ranks less their linear fit on the ranks of `given`."""
    y, x = stats.rankdata(values), stats.rankdata(given)
    y, x = y - y.mean(), x - x.mean()
    slope = float(x @ y) / float(x @ x) if x.any() else 0.0
    return [float(value) for value in np.round(y - slope * x, _PLACES)]


@dataclass(frozen=True)
class Noise:
    """An outcome of the same prompt under two orders of the rows.

    probes, pairs: with two orders; and candidates in them
    deviation: of one training, in the outcome's unit: root mean square of the differences / root of 2
    reliability: rank correlation of both orders within probes; None if nothing varies
    orders: number of orders whose mean the tests use
    limit: the most that any rank correlation with this outcome can be expected to reach: the root of the
        reliability of that mean (Spearman and Brown); None without reliability
    """

    probes: int
    pairs: int
    deviation: float
    reliability: float | None
    orders: int
    limit: float | None


def noise(probes: Sequence[ProbeResults], outcome: Outcome) -> Noise | None:
    """None if no candidate was trained in two orders of the rows."""
    groups = [one for probe in probes if (one := _two_orders(probe, outcome)) is not None]
    if not groups:
        return None
    differences = [a - b for one in groups for a, b in zip(one.x, one.y, strict=True)]
    deviation = math.sqrt(math.fsum(d * d for d in differences) / len(differences) / 2)
    found = pooled(groups)
    reliability = None if found is None else found.value
    orders = min(len(shared_orders(probe)) for probe in probes)
    limit = None
    if reliability is not None:
        kept = max(reliability, 0.0)
        limit = math.sqrt(orders * kept / (1 + (orders - 1) * kept))
    return Noise(len(groups), len(differences), deviation, reliability, orders, limit)


def _two_orders(probe: ProbeResults, outcome: Outcome) -> Group | None:
    """The outcome in the first two orders, of the candidates that have both."""
    orders = sorted({training.order for training in probe.trainings})[:2]
    if len(orders) < 2:
        return None
    first, second = (
        {t.candidate: training_outcome(probe, t, outcome) for t in probe.trainings if t.order == order}
        for order in orders
    )
    x, y, clusters = [], [], []
    for candidate in probe.candidates:
        a, b = first.get(candidate.index), second.get(candidate.index)
        if a is not None and b is not None:
            x.append(a)
            y.append(b)
            clusters.append(candidate.cluster)
    return Group(x, y, clusters, probe.seed) if x else None
