"""AP, BWT and FWT on matrices small enough to work by hand."""

import pytest

from sapo_lite.evaluation.continual import (
    FORMULAS,
    ContinualMetrics,
    Retention,
    continual_metrics,
    retention,
    retention_of,
)


def test_two_tasks() -> None:
    r = [
        [10.0, 20.0],  # zero-shot
        [70.0, 26.0],  # after task 1
        [64.0, 90.0],  # after task 2
    ]
    m = continual_metrics(r)
    assert m.ap == (64 + 90) / 2
    assert m.bwt == 64 - 70
    assert m.fwt == 26 - 20


def test_three_tasks() -> None:
    r = [
        [10.0, 20.0, 30.0],
        [80.0, 24.0, 33.0],
        [71.0, 90.0, 38.0],
        [62.0, 85.0, 95.0],
    ]
    m = continual_metrics(r)
    assert m.ap == pytest.approx((62 + 85 + 95) / 3)
    # i = 2: task 1 by -9. i = 3: task 1 by -18 and task 2 by -5, a mean of -11.5.
    assert m.bwt == pytest.approx(((71 - 80) + ((62 - 80) + (85 - 90)) / 2) / 2)
    assert m.bwt == pytest.approx(-10.25)
    # i = 1: task 2 by 4 and task 3 by 3, a mean of 3.5. i = 2: task 3 by 8.
    assert m.fwt == pytest.approx((((24 - 20) + (33 - 30)) / 2 + (38 - 30)) / 2)
    assert m.fwt == pytest.approx(5.75)


def test_backward_transfer_is_the_mean_of_stage_means_not_of_all_pairs() -> None:
    # Forgetting by 12 at stage 2, none at stage 3: (-12 + 0) / 2, where all pairs give -12 / 3.
    r = [[0.0, 0.0, 0.0], [50.0, 0.0, 0.0], [38.0, 50.0, 0.0], [50.0, 50.0, 50.0]]
    assert continual_metrics(r).bwt == (-12 + 0) / 2


def test_forward_transfer_is_the_mean_of_stage_means_not_of_all_pairs() -> None:
    # Stage 1 helps neither task 2 nor task 3; stage 2 helps task 3 by 12: (0 + 12) / 2.
    r = [[1.0, 2.0, 3.0], [50.0, 2.0, 3.0], [50.0, 50.0, 15.0], [50.0, 50.0, 50.0]]
    assert continual_metrics(r).fwt == (0 + 12) / 2


def test_what_a_task_learns_in_its_own_stage_is_no_transfer() -> None:
    r = [[0.0, 0.0], [99.0, 0.0], [99.0, 99.0]]
    assert continual_metrics(r) == ContinualMetrics(ap=99.0, bwt=0.0, fwt=0.0)


def test_one_task_has_no_transfer() -> None:
    assert continual_metrics([[10.0], [70.0]]) == ContinualMetrics(ap=70.0, bwt=None, fwt=None)


@pytest.mark.parametrize(
    ("r", "found"),
    [
        ([], []),
        ([[]], [0]),
        ([[1.0, 2.0, 3.0]] * 3, [3, 3, 3]),
        ([[1.0, 2.0], [1.0], [1.0, 2.0]], [2, 1, 2]),
        ([[1.0], [1.0], [1.0]], [1, 1, 1]),
    ],
)
def test_a_matrix_of_another_shape_is_refused(r: list[list[float]], found: list[int]) -> None:
    with pytest.raises(ValueError, match="N\\+1 rows of N scores") as refused:
        continual_metrics(r)
    assert str(refused.value) == f"R must have N+1 rows of N scores; found rows of {found}"


def test_every_metric_has_its_formula() -> None:
    assert {name.lower() for name in FORMULAS} == set(ContinualMetrics.__dataclass_fields__)


def test_without_a_sequence_there_is_the_last_row_alone() -> None:
    untrained, joint = [10.0, 20.0, 30.0], [70.0, 80.0, 90.0]
    assert continual_metrics([untrained]) == ContinualMetrics(ap=20.0, bwt=None, fwt=None)
    assert continual_metrics([untrained, joint]) == ContinualMetrics(ap=80.0, bwt=None, fwt=None)


def test_in_task_is_what_each_task_scored_right_after_it_was_learned() -> None:
    assert retention_of([[1, 2], [80, 3], [60, 90]]).in_task == 85
    assert retention_of([[1], [70]]) == Retention(in_task=70, retention=None)
    for no_sequence in ([[1, 2]], [[1, 2], [80, 90]]):
        assert retention_of(no_sequence) == Retention(None, None)


def test_retention_is_the_mean_share_of_earlier_tasks_that_is_left_at_the_end() -> None:
    # 40 of 80, 60 of 50; the last task has just been learned.
    r = [[0, 0, 0], [80, 0, 0], [70, 50, 0], [40, 60, 90]]
    assert retention_of(r) == Retention(in_task=pytest.approx(220 / 3), retention=(0.5 + 1.2) / 2)


def test_a_task_that_was_not_learned_at_all_has_no_share_and_is_counted() -> None:
    assert retention([80, 0, 90], [20, 10, 90]) == Retention(pytest.approx(170 / 3), 0.25, left_out=1)
    assert retention([0, 90], [10, 90]) == Retention(45, None, left_out=1)
    assert retention([90, 0], [45, 0]).left_out == 0  # the last task has no share anyway
