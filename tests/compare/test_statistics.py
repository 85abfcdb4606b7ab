"""Intervals of means and of paired differences, and Holm's correction."""

import random

import numpy as np
import pytest
from scipy import stats

from sapo_lite.compare.statistics import holm, mean_interval, paired


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
