"""Paired drops: when a loss of score is beyond chance, and past a line."""

import math

import pytest
from scipy.stats import ttest_rel

from sapo_lite.evaluation.drops import paired_drop

RIGHT, HALF, WRONG = [100.0] * 8, [100.0, 0.0] * 4, [0.0] * 8


@pytest.mark.parametrize(
    ("before", "after", "drop", "beyond"),
    [
        (RIGHT, WRONG, 100.0, True),  # all rows lose: no spread
        (RIGHT, HALF, 50.0, True),
        (RIGHT, [*RIGHT[:7], 0.0], 12.5, False),  # one row of eight
        (HALF, HALF, 0.0, False),
        (HALF, HALF[::-1], 0.0, False),  # other rows, as many
        (WRONG, RIGHT, -100.0, False),  # a gain
        ([100.0], [0.0], 100.0, False),  # a single row shows nothing
    ],
)
def test_a_drop_is_beyond_chance_if_its_rows_say_so(
    before: list[float], after: list[float], drop: float, beyond: bool
) -> None:
    found = paired_drop(before, after)
    assert found.drop == pytest.approx(drop)
    assert found.before - found.after == pytest.approx(drop)
    assert found.rows == len(before)
    assert found.beyond_chance == beyond


def test_the_bound_is_that_of_students_paired_test() -> None:
    before, after = [90.0, 70.0, 80.0, 100.0, 60.0], [50.0, 75.0, 60.0, 70.0, 55.0]
    found = paired_drop(before, after)
    interval = ttest_rel(before, after, alternative="greater").confidence_interval(0.95)
    assert found.bound == pytest.approx(interval.low)
    assert found.standard_error == pytest.approx(
        math.sqrt(sum((d - 18) ** 2 for d in (40, -5, 20, 30, 5)) / 20)
    )


@pytest.mark.parametrize(
    ("line", "unit", "passes"),
    [
        (49.0, "points", True),
        (50.0, "points", False),
        (2.0, "standard_errors", True),
        (3.0, "standard_errors", False),
    ],
)
def test_a_drop_passes_a_line_in_points_or_in_standard_errors(line: float, unit: str, passes: bool) -> None:
    found = paired_drop(RIGHT, HALF)
    assert found.standard_error == pytest.approx(18.9, abs=0.01)
    assert found.passes(line, unit) == passes


def test_a_drop_of_all_rows_alike_passes_any_number_of_standard_errors() -> None:
    assert paired_drop(RIGHT, WRONG).passes(1000.0, "standard_errors")
    assert not paired_drop(RIGHT, WRONG).passes(100.0, "points")
