"""Rank correlations within probes, and their tests with three kinds of units: prompts, clusters, seeds.

Candidates of one cluster are alike in loss and in outcome, and the probes of one seed share what was learned
before. A test that takes prompts as its units counts the same thing several times: its p-value is too small.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
_ROUNDING = 1e-9  # correlations that differ by less are equal: sums in another order
_PLACES = 9  # of cluster means: equal ones must be ties, however their sums were rounded


@dataclass(frozen=True)
class Group:
    """Pairs (x, y) of one probe, one for each candidate. They are ranked within the group only.

    cluster: number of the candidate's cluster
    seed: of the run that was probed
    """

    x: Sequence[float]
    y: Sequence[float]
    cluster: Sequence[int]
    seed: int


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of two quantities, pooled over groups by ranks within each.

    value: sum of products of centred ranks over all groups / root of the product of their sums of squares
    p: two-sided permutation p-value, (1 + permutations at least as far from 0) / (1 + permutations); None
        without permutations
    groups: number of groups used; one in which either quantity is constant has no ranks and is left out
    units: number of ranked pairs in these groups
    """

    value: float
    p: float | None
    groups: int
    units: int


@dataclass(frozen=True)
class SeedInterval:
    """Mean over seeds of the mean correlation of a seed's groups, with its t interval (95 %).

    low, high, p: None with a single seed, or if all seeds have the same value: there is nothing to estimate
        a spread from. `p` is of Student's two-sided t test that the mean is 0
    n: number of seeds; those in which nothing varies are left out
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    n: int


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's correlation with average ranks for ties; None if either is constant."""
    a, b = _centred_ranks(x), _centred_ranks(y)
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale else None


def pooled(groups: Sequence[Group], permutations: int = 0, *, seed: int = 0) -> Correlation | None:
    """The correlation over all groups. With permutations, its p-value with prompts as units.

    Outcomes are permuted within every group, with a generator seeded by `seed`. None if both quantities vary
    in no group.
    """
    ranks = [(_centred_ranks(group.x), _centred_ranks(group.y)) for group in groups]
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
    p = (1 + as_far) / (1 + permutations) if permutations else None
    return Correlation(observed / scale, p, len(ranks), sum(len(a) for a, _ in ranks))


def cluster_test(groups: Sequence[Group], permutations: int, *, seed: int = 0) -> Correlation | None:
    """The correlation of cluster means, and its p-value with clusters as units.

    In every group, the means of x and of y over each cluster are ranked, and permuted whole. None if they
    vary in no group.
    """
    return pooled([_means(group) for group in groups], permutations, seed=seed)


def within_clusters_test(groups: Sequence[Group], permutations: int, *, seed: int = 0) -> Correlation | None:
    """The correlation among candidates of one cluster: every cluster of a group is a group of its own.

    None if no cluster has two candidates that differ in both quantities.
    """
    parts = [part for group in groups for part in _clusters(group)]
    return pooled(parts, permutations, seed=seed)


def seed_interval(groups: Sequence[Group]) -> SeedInterval | None:
    """The interval with seeds as units; None if loss or outcome varies in no group."""
    by_seed: dict[int, list[float]] = {}
    for group in groups:
        if (value := rank_correlation(group.x, group.y)) is not None:
            by_seed.setdefault(group.seed, []).append(value)
    return interval([fmean(values) for values in by_seed.values()])


def interval(values: Sequence[float]) -> SeedInterval | None:
    """Mean and t interval of one value for each seed; None without any."""
    if not values:
        return None
    mean, n = fmean(values), len(values)
    if n < 2 or max(values) - min(values) < _ROUNDING:
        return SeedInterval(mean, None, None, None, n)
    test = stats.ttest_1samp(values, 0.0)
    bounds = test.confidence_interval(CONFIDENCE)
    return SeedInterval(mean, float(bounds.low), float(bounds.high), float(test.pvalue), n)


def _clusters(group: Group) -> Iterator[Group]:
    """The pairs of each cluster."""
    for number in sorted(set(group.cluster)):
        own = [place for place, cluster in enumerate(group.cluster) if cluster == number]
        yield Group([group.x[i] for i in own], [group.y[i] for i in own], [number] * len(own), group.seed)


def _means(group: Group) -> Group:
    """One pair for each cluster: the means of its pairs."""
    parts = list(_clusters(group))
    x = [round(fmean(part.x), _PLACES) for part in parts]
    y = [round(fmean(part.y), _PLACES) for part in parts]
    return Group(x, y, [part.cluster[0] for part in parts], group.seed)


def _centred_ranks(values: Sequence[float]) -> NDArray[np.float64]:
    ranks: NDArray[np.float64] = stats.rankdata(values)
    return ranks - ranks.mean()
