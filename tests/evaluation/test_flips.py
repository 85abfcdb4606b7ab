"""Flips: rows whose score changed between two tests, and the stage that changed them."""

import pytest

from sapo_lite.evaluation.flips import Flip, flips
from sapo_lite.evaluation.rows import Row


def rows(*scores: float) -> list[Row]:
    return [Row(f"input {n}", "yes", f"answer of {score}", score) for n, score in enumerate(scores, start=1)]


def test_a_flip_names_its_row_both_answers_and_the_stage() -> None:
    assert flips(rows(100, 100), rows(100, 0), "mood", 4) == [
        Flip("mood", 4, 2, "input 2", "yes", "answer of 100", "answer of 0", 100, 0)
    ]


def test_rows_with_equal_scores_are_no_flips_whatever_their_answers() -> None:
    other = [Row("input 1", "yes", "no !", 0.0)]
    assert flips(rows(0.0), other, "mood", 1) == []


def test_right_to_wrong_comes_first_then_smaller_losses_then_gains() -> None:
    found = flips(rows(0, 60, 100, 50), rows(100, 20, 0, 60), "mood", 1)
    assert [flip.row for flip in found] == [3, 2, 4, 1]
    assert [flip.lost for flip in found] == [True, True, False, False]


@pytest.mark.parametrize(
    ("scores", "stage"),
    [
        ([100, 0, 0, 0], 2),
        ([100, 100, 100, 0], 4),
        ([100, 0, 100, 0], 4),  # it was right again in between
        ([100, 0, 30, 30], 2),  # what it gained later is not the loss
        ([0, 100, 100, 100], 2),
        ([0, 100, 0, 100], 4),
    ],
)
def test_the_stage_is_the_last_one_that_moved_the_score_that_way(scores: list[float], stage: int) -> None:
    first, *between, last = [rows(score) for score in scores]
    (flip,) = flips(first, last, "mood", 4, list(enumerate(between, start=2)))
    assert flip.stage == stage


def test_tests_of_other_numbers_of_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        flips(rows(100, 0), rows(100), "mood", 1)
