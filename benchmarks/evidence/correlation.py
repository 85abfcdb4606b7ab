"""Rank correlations within groups, and their permutation tests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_ROUNDING = 1e-9  # correlations that differ by less are equal: sums in another order

# Pairs (x, y) of one group, which are ranked only within the group.
Group = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of two quantities, pooled over groups by ranks within each.

    value: sum of products of centred ranks over all groups / root of the product of their sums of squares
    p: two-sided permutation p-value, (1 + permutations at least as far from 0) / (1 + permutations)
    groups: number of groups used; one in which either quantity is constant has no ranks and is left out
    pairs: in these groups
    """

    value: float
    p: float
    groups: int
    pairs: int


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's correlation with average ranks for ties; None if either is constant."""
    a, b = _centred_ranks(x), _centred_ranks(y)
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale else None


def pooled_correlation(groups: Sequence[Group], *, permutations: int, seed: int) -> Correlation | None:
    """The correlation over all groups, and its p-value by permuting y within every group.

    None if both quantities vary in no group.
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
