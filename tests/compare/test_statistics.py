"""Intervals of means and of paired differences, and Holm's correction."""

import random

import numpy as np
import pytest
from scipy import stats

from sapo_lite.compare.statistics import equivalence, holm, mean_interval, paired


def test_holms_correction_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_paired_intervals_are_those_of_the_t_test() -> None:
    rng = random.Random(5)
    a, b = ([rng.gauss(50, 10) for _ in range(10)] for _ in range(2))
    found, test = paired(a, b), stats.ttest_rel(a, b)
    interval = test.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((interval.low, interval.high, test.pvalue))
    assert found.mean == pytest.approx(np.mean(a) - np.mean(b))
    assert found.deviation == pytest.approx(np.std(np.subtract(a, b), ddof=1))


def test_an_interval_needs_two_values_that_differ() -> None:
    assert mean_interval([3.0]).low is None
    same = mean_interval([0.1 + 0.2, 0.3, 0.3])  # equal but for rounding
    assert (same.deviation, same.p) == (0.0, 0.0)
    assert mean_interval([0.0, 0.0]).p == 1.0


def test_equivalence_is_two_one_sided_t_tests() -> None:
    rng = random.Random(6)
    for mean in (-6.0, -1.0, 0.5, 4.0):
        values = [rng.gauss(mean, 3) for _ in range(12)]
        found = equivalence(values, 5.0)
        above = stats.ttest_1samp(values, -5.0, alternative="greater").pvalue
        below = stats.ttest_1samp(values, 5.0, alternative="less").pvalue
        interval = stats.ttest_1samp(values, 0.0).confidence_interval(0.90)
        assert found.p == pytest.approx(max(above, below))
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
        assert found.shown == (interval.low > -5 and interval.high < 5)


def test_equivalence_needs_two_values_that_differ() -> None:
    for values in ([1.0], [1.0, 1.0, 1.0]):
        found = equivalence(values, 5.0)
        assert (found.p, found.shown) == (None, False)
