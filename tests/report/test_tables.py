"""Tables of candidates: ranks, differences, what a loss was measured on, and what was rejected."""

import re

from rich.console import Console

from sapo_lite.prompts.losses import comparable_loss, excess, ranked
from sapo_lite.prompts.pool import Rejection
from sapo_lite.report.tables import candidate_table, pool_table, score_matrix
from sapo_lite.types import Candidate
from tiny import candidate_score

POOL = [
    Candidate(0, "The original.", "original"),
    *(Candidate(i, f"Wording {i}.", "file") for i in (1, 2, 3)),
]
# Of four examples; token means 2.0 (partial), 1.0, 1.25 (partial) and 1.5.
SCORES = [
    candidate_score(0, (4.0, 4.0), (2, 2), total=4),
    candidate_score(1, (1.0, 3.0, 2.0, 2.0), (2, 2, 2, 2)),
    candidate_score(2, (2.0, 3.0), (2, 2), total=4),
    candidate_score(3, (3.0, 3.0, 3.0, 3.0), (2, 2, 2, 2)),
]


def test_who_left_a_race_early_ranks_by_its_loss_on_the_examples_of_the_winner() -> None:
    # On the first two examples the winner has (1 + 3) / 4; 2 has (2 + 3) / 4, so 0.25 more than its 1.0.
    assert [comparable_loss(s, SCORES[1]) for s in SCORES] == [2.0, 1.0, 1.25, 1.5]
    assert [s.index for s in ranked(SCORES)] == [1, 2, 3, 0]
    assert [s.partial for s in SCORES] == [True, False, True, False]


def test_who_left_a_race_early_does_not_win_it() -> None:
    lucky = candidate_score(4, (0.1, 0.1), (2, 2), total=4)
    assert ranked([lucky, *SCORES])[0].index == 1


def test_differences_are_on_the_examples_that_both_have() -> None:
    # On the first two examples 1 has (1 + 3) / 4 and 0 has (4 + 4) / 4.
    assert excess(SCORES[1], SCORES[0]) == -1.0
    assert excess(SCORES[3], SCORES[1]) == 0.5


def test_partial_losses_are_marked_and_the_original_is_always_shown() -> None:
    console = Console(width=90, no_color=True)
    with console.capture() as capture:
        console.print(candidate_table(POOL, SCORES, rows=3))
    lines = [" ".join(line.split()) for line in capture.get().splitlines()]
    assert lines == [
        "4 of 4 candidates scored",
        "rank loss to original examples instruction",
        "1 1.0000 -1.0000 4 Wording 1.",
        "2 ~1.2500 -0.7500 2 of 4 Wording 2.",
        "3 1.5000 -0.5000 4 Wording 3.",
        "4 ~2.0000 2 of 4 (original) The original.",
    ]


REJECTED = [Rejection("Say\nyes [or] no.", "too short"), Rejection("", "no answer within 5 s")]


def pool_lines(width: int = 90, **options: int) -> list[str]:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(pool_table("mood", POOL, REJECTED, **options))
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def test_a_pool_is_listed_by_number_with_the_reasons_of_what_was_rejected() -> None:
    assert pool_lines() == [
        "mood: 3 paraphrases, 2 rejected",
        "from text",
        "#0 original The original.",
        "#1 file Wording 1.",
        "#2 file Wording 2.",
        "#3 file Wording 3.",
        "rejected too short: Say yes [or] no.",
        "rejected no answer within 5 s:",
    ]


def test_of_a_long_pool_the_latest_of_both_kinds_are_shown() -> None:
    assert pool_lines(rows=1) == [
        "mood: 3 paraphrases, 2 rejected",
        "from text",
        "#3 file Wording 3.",
        "rejected no answer within 5 s:",
    ]


def test_a_long_text_is_cut_and_stays_on_its_line() -> None:
    assert pool_lines(rows=1, width=40)[2] == "#3 file Wording 3."
    long = [Candidate(0, "word " * 100, "original")]
    console = Console(width=200)
    with console.capture() as capture:
        console.print(pool_table("mood", long, []))
    line = capture.get().splitlines()[2].rstrip()
    assert line.endswith("word w…")
    assert len(line) == len("#0  original  ") + 72


def matrix_lines(lessons: list[str], rows: list[list[float]], **options: object) -> list[str]:
    console = Console(width=90, **options)  # type: ignore[arg-type]
    with console.capture() as capture:
        console.print(score_matrix(["mood", "stars"], lessons, rows, "R"))
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def test_rows_of_a_matrix_are_named_after_what_was_learned_before_them() -> None:
    rows = [[1.0, 2.0], [30.0, 4.0], [5.0, 60.0]]
    assert matrix_lines(["mood", "stars"], rows, no_color=True) == [
        "R",
        "after training mood stars",
        "nothing 1.0 2.0",
        "1 mood 30.0 4.0",
        "2 stars 5.0 60.0",
    ]
    assert matrix_lines(["mood", "stars"], rows[:2], no_color=True)[-1] == "1 mood 30.0 4.0"  # so far
    assert matrix_lines(["joint"], rows[:2], no_color=True)[-1] == "1 joint 30.0 4.0"
    assert matrix_lines([], rows[:1], no_color=True)[-1] == "nothing 1.0 2.0"


def test_a_tasks_own_score_after_its_training_is_bold() -> None:
    rows = [[1.0, 2.0], [30.0, 4.0], [5.0, 60.0]]
    lines = matrix_lines(["mood", "stars"], rows, force_terminal=True, color_system="standard")
    bold = [re.findall(r"\x1b\[1m *([\d.]+)", line) for line in lines]
    assert bold[2:] == [[], ["30.0"], ["60.0"]]
