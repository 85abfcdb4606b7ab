"""The plain display of a pool that is being made: a line now and then, with the reasons of rejections."""

import io

import pytest
from rich.console import Console

from sapo_lite.prompts.pool import Rejection, tally
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.types import Candidate

LONG = Rejection("Decide,\nplease, " + "once more, " * 20, "too long")
LOST = Rejection("Say yes.", 'label "no" missing')
SILENT = Rejection("", "no answer within 5 s")


def pool(size: int) -> list[Candidate]:
    return [Candidate(number, f"Wording {number}.", "file") for number in range(size + 1)]


def shown(answers: list[tuple[int, list[Rejection]]], pause: float) -> list[str]:
    """The lines about a pool of 3 after answers that leave so many paraphrases and these rejections."""
    file = io.StringIO()
    display = PlainDisplay(Console(file=file, width=200), pause)
    display.stage("paraphrasing with self")
    for size, rejected in answers:
        display.pool("mood", pool(size), rejected, 3)
    heading, *lines = file.getvalue().splitlines()
    assert heading == "== paraphrasing with self"
    return lines


def test_rejected_texts_are_shown_as_they_come_with_their_reasons_and_the_last_one() -> None:
    assert shown([(1, []), (1, [LONG]), (1, [LONG, LOST]), (1, [LONG, LOST, LOST, SILENT])], pause=0.0) == [
        "mood: 1 of 3 paraphrases",
        "mood: 1 of 3 paraphrases, 1 rejected (1 x too long); the last, too long: Decide, please, once more, "
        "once more, once more, once more, once more, once mor…",
        'mood: 1 of 3 paraphrases, 2 rejected (1 x too long, 1 x label "no" missing); '
        'the last, label "no" missing: Say yes.',
        'mood: 1 of 3 paraphrases, 4 rejected (2 x label "no" missing, 1 x too long, '
        "1 x no answer within 5 s)",
    ]


def test_between_two_lines_is_a_pause() -> None:
    assert shown([(1, [LONG] * count) for count in range(50)], pause=3600.0) == []


@pytest.mark.parametrize("pause", [0.0, 3600.0])
def test_a_full_pool_is_shown_at_once_if_texts_were_rejected(pause: float) -> None:
    assert shown([(3, [LOST, LOST])], pause) == [
        'mood: 3 of 3 paraphrases, 2 rejected (2 x label "no" missing)'
    ]
    assert shown([(3, [])], pause=3600.0) == []


def test_a_tally_has_the_commonest_reasons_first() -> None:
    rejected = [LONG, LOST, LOST, SILENT]
    assert tally(rejected) == '2 x label "no" missing, 1 x too long, 1 x no answer within 5 s'
    assert tally(rejected, most=1) == '2 x label "no" missing, ...'
    assert tally([]) == ""
