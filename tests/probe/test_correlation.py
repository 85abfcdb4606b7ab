"""Rank correlations within probes, and their tests with prompts, clusters and seeds as units."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from sapo_lite.probe.correlation import (
    Correlation,
    Group,
    cluster_test,
    interval,
    pooled,
    rank_correlation,
    seed_interval,
    within_clusters_test,
)


def group(x: Sequence[float], y: Sequence[float], cluster: Sequence[int] = (), seed: int = 0) -> Group:
    """Every pair has a cluster of its own, unless clusters are given."""
    return Group(x, y, cluster or range(len(x)), seed)


def found(correlation: Correlation | None) -> Correlation:
    assert correlation is not None
    return correlation


def test_rank_correlation_is_spearmans_also_with_ties() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.integers(0, 8, 21).tolist(), rng.normal(size=21).tolist()
        assert rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, rel=1e-12)
    assert rank_correlation([1, 2, 3], [5, 5, 5]) is None


def test_pooling_looks_within_groups_only() -> None:
    up, down = group([1, 2, 3], [1, 2, 3]), group([1, 2, 3], [30, 20, 10])
    opposed = found(pooled([up, down]))
    assert (opposed.value, opposed.p, opposed.groups, opposed.units) == (0.0, None, 2, 6)
    # Levels that go together across groups say nothing of what is within them.
    higher = group([11, 12, 13], [130, 120, 110])
    assert found(pooled([down, higher])).value == -1.0


def test_a_group_in_which_nothing_varies_is_left_out() -> None:
    flat, up = group([1, 2, 3], [7, 7, 7]), group([1, 2, 3], [1, 2, 3])
    one = found(pooled([flat, up], 100))
    assert (one.value, one.groups, one.units) == (1.0, 1, 3)
    assert pooled([flat], 100) is None
    assert pooled([], 100) is None


def test_the_permutation_test_agrees_with_all_permutations() -> None:
    x, y = [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 3.0, 2.0, 5.0, 4.0]
    observed = abs(rank_correlation(x, y) or 0)
    every = [abs(rank_correlation(x, list(p)) or 0) for p in itertools.permutations(y)]
    exact = sum(value >= observed - 1e-9 for value in every) / len(every)
    assert found(pooled([group(x, y)], 20000, seed=1)).p == pytest.approx(exact, abs=0.01)


def test_permutation_p_values_are_uniform_where_there_is_nothing_to_find() -> None:
    rng = np.random.default_rng(3)
    p_values = []
    for _ in range(300):
        # Probes of different levels and spreads, outcomes with many ties.
        groups = [
            group((rng.normal(size=21) + 5 * g).tolist(), (rng.integers(0, 12, 21) * (g + 1)).tolist())
            for g in range(3)
        ]
        p_values.append(found(pooled(groups, 199)).p)
    assert stats.kstest(p_values, "uniform").pvalue > 0.05
    assert 0.02 < np.mean(np.array(p_values) <= 0.05) < 0.08


def test_a_planted_correlation_is_found() -> None:
    rng = np.random.default_rng(4)
    groups = []
    for level in range(6):
        loss = rng.normal(size=21)
        groups.append(group(loss.tolist(), (-0.6 * loss + rng.normal(size=21) + 3 * level).tolist()))
    planted = found(pooled(groups, 10000))
    assert planted.value < -0.3
    assert planted.p is not None
    assert planted.p < 0.001


def test_the_units_of_the_cluster_test_are_means_of_clusters() -> None:
    # Means of clusters 0, 1, 2: x 2, 5, 8; y 10, 30, 20. Ranks 1, 2, 3 and 1, 3, 2: correlation 0.5.
    one = group([1, 3, 4, 6, 8], [0, 20, 35, 25, 20], [0, 0, 1, 1, 2])
    tested = found(cluster_test([one], 20000))
    assert (tested.value, tested.groups, tested.units) == (0.5, 1, 3)
    assert tested.p == 1.0  # of the six orders of three means, all are at least as far from 0


def test_copies_of_a_prompt_are_no_evidence() -> None:
    x, y = [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0]
    copied = group(x * 6, y * 6, [0, 1, 2, 3] * 6)
    alone = found(cluster_test([group(x, y)], 20000))
    assert found(cluster_test([copied], 20000)) == alone
    of_prompts = found(pooled([copied], 20000))
    assert of_prompts.value == pytest.approx(alone.value)
    assert alone.p is not None
    assert of_prompts.p is not None
    assert of_prompts.p < 0.001 < 0.2 < alone.p


def test_the_test_within_clusters_does_not_see_what_is_between_them() -> None:
    # Between the clusters y rises with x, within each it falls.
    one = group([1, 2, 11, 12], [2, 1, 12, 11], [0, 0, 1, 1])
    within = found(within_clusters_test([one], 100))
    assert (within.value, within.groups, within.units) == (-1.0, 2, 4)
    assert found(cluster_test([one], 100)).value == 1.0
    assert within_clusters_test([group([1, 2, 3], [1, 2, 3])], 100) is None  # clusters of one


def test_the_interval_has_one_value_for_each_seed() -> None:
    up, down, half = ([1, 2, 3], [1, 2, 3]), ([1, 2, 3], [3, 2, 1]), ([1, 2, 3], [1, 3, 2])
    groups = [group(*up, seed=0), group(*down, seed=0), group(*half, seed=1), group(*up, seed=2)]
    over = seed_interval(groups)
    assert over is not None
    # Correlations 1 and -1 of seed 0, 0.5 of seed 1, 1 of seed 2: seeds 0, 0.5 and 1.
    test = stats.ttest_1samp([0.0, 0.5, 1.0], 0)
    assert (over.mean, over.n) == (0.5, 3)
    assert (over.low, over.high) == pytest.approx(tuple(test.confidence_interval()))
    assert over.p == pytest.approx(test.pvalue)


def test_a_single_seed_and_equal_seeds_have_no_interval() -> None:
    one, two = interval([0.3]), interval([0.3, 0.3])
    assert one is not None
    assert two is not None
    assert (one.mean, one.low, one.high, one.p, one.n) == (0.3, None, None, None, 1)
    assert (two.mean, two.low, two.n) == (0.3, None, 2)
    assert interval([]) is None
    assert seed_interval([group([1, 2], [5, 5])]) is None
