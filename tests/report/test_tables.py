"""Tables of candidates: ranks, differences, numbers of examples, and rejected texts."""

import re

import pytest
from rich.console import Console, RenderableType

from sapo_lite.leaderboard.board import board
from sapo_lite.prompts.losses import comparable_loss, excess, ranked
from sapo_lite.prompts.pool import Rejection
from sapo_lite.report.number_table import NumberTable
from sapo_lite.report.tables import candidate_table, leaderboard_view, pool_table, score_matrix, watched_table
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
        "rank prompt loss to original examples text",
        "1 #1 1.0000 -1.0000 4 Wording 1.",
        "2 #2 ~1.2500 -0.7500 2 of 4 Wording 2.",
        "3 #3 1.5000 -0.5000 4 Wording 3.",
        "4 #0 ~2.0000 2 of 4 (original) The original.",
    ]


WIDTHS = (40, 60, 80, 100, 120, 200)


def rendered(what: RenderableType, width: int) -> list[str]:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(what)
    lines = capture.get().splitlines()
    assert all(len(line) <= width for line in lines)
    return lines


@pytest.mark.parametrize("width", WIDTHS)
def test_numbers_of_candidates_are_whole_at_every_width_and_texts_give_way(width: int) -> None:
    words = "decide which of the words does not belong to the others , and answer with that word"
    pool = [Candidate(i, f"{i}: {words}", "file") for i in range(21)]
    scores = [
        candidate_score(i, [24.0 + i] * (160 if i == 7 else 32), [2] * (160 if i == 7 else 32), total=160)
        for i in range(21)
    ]
    board_of_score = board(pool, scores, None)
    for table, count in (
        (candidate_table(pool, scores, rows=21), 21),
        (leaderboard_view(board_of_score), 21),
    ):
        lines = rendered(table, width)
        for score in scores:
            measured = "160" if score.index == 7 else "32 of 160"
            excess_of_it = "" if score.index == 0 else f" {score.index / 2:+.4f}"
            mark = "" if score.index == 7 else "~"
            # One line each, whether the text is beside it or below.
            numbers = f" #{score.index} {mark}{score.loss:.4f}{excess_of_it} {measured}"
            assert sum(numbers in f"{' '.join(line.split())} " for line in lines) == 1, numbers
        assert sum("…" in line for line in lines) >= (0 if width == 200 else count)


def test_a_leaderboard_that_python_prints_is_the_one_of_the_command_line() -> None:
    found = board(POOL, SCORES, None)
    assert repr(found) == str(found)
    assert [line.rstrip() for line in str(found).splitlines()] == rendered(leaderboard_view(found), 110)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_matrix_of_twelve_tasks_has_every_number_in_blocks_that_fit(width: int) -> None:
    tasks = (
        "stars odd_one_out translation oldest mood title records people options lists zumi C-STANCE".split()
    )
    rows = [[10.0 * i + j / 10 for j in range(12)] for i in range(13)]
    lines = rendered(score_matrix(dict.fromkeys(tasks, "rougeL"), tasks, rows, "R"), width)
    assert not any("…" in line for line in lines)
    named = any("odd_one_out" in line for line in lines if line.startswith("after training"))
    assert named == (width >= 120)
    if not named:
        numbers = [n for line in lines if line.startswith("after training") for n in line.split()[2:]]
        assert numbers == [str(n) for n in range(1, 13)]
        at = next(n for n, line in enumerate(lines) if line.startswith("columns:"))
        key = " ".join(" ".join(lines[at:]).split())
        assert key == "columns: " + ", ".join(f"{n}={task}" for n, task in enumerate(tasks, start=1))
    for i, row in enumerate(rows):
        label = f"{i} {tasks[i - 1]}" if i else "nothing"
        found = [line[len(label) :].split() for line in lines if line.startswith(f"{label} ")]
        assert [float(number) for part in found for number in part] == row


def test_stages_of_what_is_watched_are_numbered_where_their_names_do_not_fit() -> None:
    groups = ["stars", "odd_one_out", "translation", "oldest"]
    table = watched_table(groups, {"general": [50.0, 49.0, 48.0, 47.0, 46.5]}, "watched")
    assert (
        rendered(table, 80)[1].split()
        == "watched nothing 1 stars 2 odd_one_out 3 translation 4 oldest change".split()
    )
    _, heading, numbers, *key = rendered(table, 60)
    assert heading.split() == "watched 0 1 2 3 4 change".split()
    assert numbers.split() == "general 50.0 49.0 48.0 47.0 46.5 -3.5".split()
    assert (
        " ".join(key).split() == "columns: 0=nothing, 1=stars, 2=odd_one_out, 3=translation, 4=oldest".split()
    )


def test_a_task_of_a_very_long_name_does_not_push_its_numbers_out() -> None:
    name = "task1310_amazonreview_rating_classification_of_products"
    tasks = dict.fromkeys([name, "b"], "rougeL")
    lines = rendered(score_matrix(tasks, [name, "b"], [[0.0, 1.5], [100.0, 2.5], [99.5, 88.5]], "R"), 40)
    numbers = re.findall(r"\d+\.\d", "\n".join(lines))
    assert sorted(map(float, numbers)) == [0.0, 1.5, 2.5, 88.5, 99.5, 100.0]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_mean_and_its_deviation_are_never_broken(width: int) -> None:
    headings = ["strategy", "adapter", "seeds", "AP", "BWT", "FWT", "in-task", "time", "memory"]
    rows = [
        ["sapo", "lorainc", "5", "20.0 ± 7.1", "-20.3 ± 11.2*", "1.0 ± 0.1", "95.5 ± 3.0", "6 min", "0.8 GB"]
    ]
    lines = rendered(NumberTable("lab", headings, rows, texts=2, fold=True), width)
    for cell in rows[0][2:]:
        assert any(cell in line for line in lines), cell


def test_a_closing_text_is_folded_beside_the_numbers_or_below_them() -> None:
    rows = [["AP", "81.60", "53.20", "mean over j of R[N,j]"], ["BWT", "-10.42", "-9.42", "mean " * 12]]
    table = NumberTable("R", ["metric", "chosen prompts", "original prompts", "formula"], rows, tail=True)
    for width in WIDTHS:
        text = " ".join(" ".join(rendered(table, width)).split())
        assert all(word in text for row in rows for word in row[1:3])
        assert text.count("mean") == 13


REJECTED = [Rejection("Say\nyes [or] no.", "too short"), Rejection("", "no answer within 5 s")]


def pool_lines(width: int = 90, **options: int) -> list[str]:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(pool_table("mood", POOL, REJECTED, **options))
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def test_a_pool_is_listed_by_number_with_the_reasons_of_what_was_rejected() -> None:
    assert pool_lines() == [
        "mood: 3 paraphrases, 2 rejected (1 x too short, 1 x no answer within 5 s)",
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
        "mood: 3 paraphrases, 2 rejected (1 x too short, 1 x no answer within 5 s)",
        "from text",
        "#3 file Wording 3.",
        "rejected no answer within 5 s:",
    ]


def test_a_long_text_is_cut_and_takes_the_whole_width() -> None:
    assert pool_lines(rows=1, width=40)[2] == "#3 file Wording 3."
    long = [Candidate(0, "word " * 100, "original")]
    for width in WIDTHS:
        line = rendered(pool_table("mood", long, []), width)[2]
        assert line.startswith("#0  original  word")
        assert line.endswith("…")
        assert len(line) == width


def matrix_lines(groups: list[str], rows: list[list[float]], **options: object) -> list[str]:
    console = Console(width=90, **options)  # type: ignore[arg-type]
    with console.capture() as capture:
        console.print(score_matrix({"mood": "accuracy", "stars": "accuracy"}, groups, rows, "R"))
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
