"""Rank correlations within groups, their permutation tests, and paired differences with intervals.

What is tested and what the units are is said by who calls; here are the formulas.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
_ROUNDING = 1e-9  # correlations that differ by less are equal: sums in another order

# Pairs (x, y) of one group, which are ranked among themselves only.
Group = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of two quantities, pooled over groups by ranks within each.

    value: sum of products of centred ranks over all groups / root of the product of their sums of squares
    p: two-sided permutation p-value, (1 + permutations at least as far from 0) / (1 + permutations)
    groups: those that count; one in which either quantity is constant has no ranks, and is left out
    pairs: in these groups
    """

    value: float
    p: float
    groups: int
    pairs: int


@dataclass(frozen=True)
class Interval:
    """Mean of n values with the bounds of its 95 % t interval (None with fewer than two values).

    p: two-sided, of Student's t test that the mean is 0; None where there is no interval
    """

    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's correlation with average ranks for ties; None where either is constant."""
    a, b = _centred_ranks(x), _centred_ranks(y)
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale else None


def pooled_correlation(groups: Sequence[Group], *, permutations: int, seed: int) -> Correlation | None:
    """The correlation over all groups, and its p-value by permuting y within every group.

    None where no group has both quantities vary.
    """
    ranks = [(_centred_ranks(x), _centred_ranks(y)) for x, y in groups]
    ranks = [(a, b) for a, b in ranks if a.any() and b.any()]
    if not ranks:
        return None
    scale = math.sqrt(sum(float(a @ a) for a, _ in ranks) * sum(float(b @ b) for _, b in ranks))
    observed = sum(float(a @ b) for a, b in ranks)
    rng = np.random.default_rng(seed)
    permuted = np.zeros(permutations)
    for a, b in ranks:
        permuted += rng.permuted(np.tile(b, (permutations, 1)), axis=1) @ a
    as_far = int((np.abs(permuted) >= abs(observed) - _ROUNDING * scale).sum())
    p = (1 + as_far) / (1 + permutations)
    return Correlation(observed / scale, p, len(ranks), sum(len(a) for a, _ in ranks))


def _centred_ranks(values: Sequence[float]) -> NDArray[np.float64]:
    ranks: NDArray[np.float64] = stats.rankdata(values)
    return ranks - ranks.mean()


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted by Holm's step-down method for all tests of the list, in its order."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean and t interval of independent values: for paired differences, the paired t interval."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return Interval(mean, None, None, None, None, n)
    deviation = float(np.std(values, ddof=1))
    if deviation < _ROUNDING * max(map(abs, values)):
        deviation = 0.0  # equal values, summed in other orders
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * deviation / math.sqrt(n)
    if deviation:
        p = float(2 * stats.t.sf(abs(mean) / (deviation / math.sqrt(n)), n - 1))
    else:
        p = 1.0 if mean == 0 else 0.0
    return Interval(mean, deviation, mean - half, mean + half, p, n)


def paired(values: Sequence[float], baseline: Sequence[float]) -> Interval:
    """Interval of the mean difference to a baseline, pair by pair."""
    return mean_interval([a - b for a, b in zip(values, baseline, strict=True)])
