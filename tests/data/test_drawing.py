"""Draws and splits of examples."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapo_lite.data.drawing import drawn, same_input, split
from sapo_lite.errors import DataError
from sapo_lite.types import Example

TEXTS = st.text(alphabet="ab Aé", min_size=1, max_size=3)
ROWS = st.lists(st.builds(Example, TEXTS, st.sampled_from(["x", "y", "z"])), min_size=2, max_size=60)


def sorted_rows(**counts: int) -> list[Example]:
    """Rows of different inputs, sorted by answer."""
    return [Example(f"{answer} {n}", answer) for answer, count in counts.items() for n in range(count)]


@given(ROWS, st.floats(0.05, 0.9), st.booleans(), st.integers(0, 3))
def test_a_split_loses_nothing_and_never_has_an_input_on_both_sides(
    rows: list[Example], share: float, by_answer: bool, seed: int
) -> None:
    try:
        train, test = split(rows, share, str(seed), by_answer=by_answer)
    except DataError:
        return
    assert Counter(train) + Counter(test) == Counter(rows)
    assert not {same_input(e.input) for e in train} & {same_input(e.input) for e in test}
    assert train
    assert 1 <= len(test) <= max(1, round(share * len(rows)))
    assert (train, test) == split(rows, share, str(seed), by_answer=by_answer)


@given(ROWS, st.integers(1, 60))
def test_a_draw_takes_rows_once_and_more_of_them_contain_the_fewer(rows: list[Example], limit: int) -> None:
    assert not Counter(drawn(rows, limit, "0")) - Counter(rows)
    assert drawn(rows, limit, "0") == drawn(rows, 60, "0")[:limit]


def test_a_split_keeps_the_shares_of_labels_of_a_sorted_file() -> None:
    train, test = split(sorted_rows(yes=80, no=20), 0.2, "0", by_answer=True)
    assert Counter(e.answer for e in test) == {"yes": 16, "no": 4}
    assert Counter(e.answer for e in train) == {"yes": 64, "no": 16}


def test_a_label_of_one_input_is_trained_and_not_only_tested() -> None:
    for seed in range(20):
        train, _ = split(sorted_rows(yes=30, no=10, rare=1), 0.5, str(seed), by_answer=True)
        assert {e.answer for e in train} == {"yes", "no", "rare"}


def test_every_beginning_of_a_draw_has_the_shares_of_the_answers() -> None:
    rows = drawn(sorted_rows(yes=300, no=100), 400, "0")
    for count in (8, 40, 100, 200):
        assert abs(sum(e.answer == "no" for e in rows[:count]) - count / 4) <= 1


def test_seeds_draw_other_rows() -> None:
    rows = sorted_rows(yes=50, no=50)
    assert drawn(rows, 20, "0") != drawn(rows, 20, "1")
    assert split(rows, 20, "0", by_answer=True) != split(rows, 20, "1", by_answer=True)


def test_inputs_that_differ_in_case_white_space_and_unicode_form_are_the_same() -> None:
    assert (
        len(
            {
                same_input(text)
                for text in ("Caf\u00e9  au lait", "cafe\u0301 au\n lait ", "CAF\u00c9 AU LAIT")
            }
        )
        == 1
    )


@pytest.mark.parametrize(
    ("rows", "test", "message"),
    [
        (sorted_rows(yes=3), 3, "expected fewer rows to test with than there are, found 3 of 3"),
        (sorted_rows(yes=1), 0.2, "expected fewer rows to test with than there are, found 1 of 1"),
        ([Example("same", "yes")] * 4, 0.5, "4 rows, 1 different input: too few to split"),
    ],
)
def test_rows_that_are_too_few_are_not_split(rows: list[Example], test: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split(rows, test, "0", by_answer=False)
