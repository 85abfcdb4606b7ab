"""Means and paired differences with t intervals, and Holm's correction for many tests.

Only the formulas: units are those of the given values.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit  # scipy.stats takes a second to import

from sapo_lite.support.messages import number

CONFIDENCE = 0.95
_ROUNDING = 1e-9  # values are equal if their deviation is below this share of them: sums differ in order


@dataclass(frozen=True)
class Interval:
    """Mean of n values with its standard deviation and 95 % t interval (None with fewer than two values).

    p: two-sided p-value of Student's t test that the mean is 0; None without an interval
    """

    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of the list, in its order, adjusted by Holm's step-down method for all of them."""
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
        deviation = 0.0
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * deviation / math.sqrt(n)
    if deviation:
        p = float(2 * stdtr(n - 1, -abs(mean) / (deviation / math.sqrt(n))))
    else:
        p = 1.0 if mean == 0 else 0.0
    return Interval(mean, deviation, mean - half, mean + half, p, n)


def paired(values: Sequence[float], baseline: Sequence[float]) -> Interval:
    """Interval of the mean difference to a baseline, pair by pair."""
    return mean_interval([a - b for a, b in zip(values, baseline, strict=True)])


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided t tests (TOST) of whether a mean lies within -margin and +margin.

    low, high: 90 % t interval: within the margins if and only if p < 0.05
    p: the larger of the two one-sided p-values; small ones speak for equivalence. None with fewer than two
        values, or if all are equal
    """

    mean: float
    margin: float
    low: float | None
    high: float | None
    p: float | None
    n: int

    @property
    def shown(self) -> bool:
        return self.p is not None and self.p < 1 - CONFIDENCE


def equivalence(differences: Sequence[float], margin: float) -> Equivalence:
    """Whether paired differences are equivalent to 0, with a margin in their unit."""
    found = mean_interval(differences)
    if not found.deviation:
        return Equivalence(found.mean, margin, None, None, None, found.n)
    error = found.deviation / math.sqrt(found.n)
    half = float(stdtrit(found.n - 1, CONFIDENCE)) * error
    p = float(stdtr(found.n - 1, (abs(found.mean) - margin) / error))
    return Equivalence(found.mean, margin, found.mean - half, found.mean + half, p, found.n)


def bounds(interval: Interval | None, places: int = 1) -> str:
    """Bounds of an interval as text: "-1.2 to +3.4"."""
    if interval is None or interval.low is None:
        return "–"
    return f"{number(interval.low, places, sign=True)} to {number(interval.high, places, sign=True)}"
