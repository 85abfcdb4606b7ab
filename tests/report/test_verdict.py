"""The verdict of a run: sentences that name what was learned and lost, with the numbers of R."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from made_runs import TASKS, made_results
from sapo_lite.prompts.confidence import Difference, Margin
from sapo_lite.report.verdict import verdict
from sapo_lite.run.results import Results, WatchedScores

THREE = ["stars", "mood", "oldest"]


def found(r: Sequence[Sequence[float]], tasks: Sequence[str] = TASKS, **more: Any) -> Results:
    """Results of tasks with this R under the chosen prompts, and 10 points less under the original ones."""
    original = [[score - 10 for score in row] for row in r]
    results = made_results({"chosen": r, "original": original}, "sapo", "lorainc", 0)
    named = {"tasks": list(tasks), "lessons": list(tasks), "task_metrics": dict.fromkeys(tasks, "rougeL")}
    return replace(results, **{**named, **more})


def margin(original: tuple[float, float] | None) -> Margin:
    """A margin over the original with this interval; None if the original was chosen."""
    difference = Difference(0, -0.1, original, 32)
    return Margin(0 if original is None else 1, difference, difference if original else None, False)


def test_a_run_that_forgets_says_how_much_which_task_and_which_stage() -> None:
    r = [[5, 0, 0], [95, 0, 0], [90, 80, 0], [35, 78, 100]]
    assert verdict(found(r, THREE))[:3] == [
        "After 3 tasks the model keeps 71.0 of the 91.7 points (ROUGE-L, mean over tasks) that it had right "
        "after learning each; before any training it had 1.7.",
        "stars lost 60.0 points, most of it while learning oldest.",
        "1 other task lost less than 5 points.",
    ]


def test_a_loss_over_several_stages_names_the_largest_step() -> None:
    r = [[0] * 4, [90, 0, 0, 0], [70, 90, 0, 0], [48, 90, 90, 0], [30, 90, 90, 90]]
    said = verdict(found(r, [*THREE, "last"]))
    assert "stars lost 60.0 points, the most at once (22.0) while learning oldest." in said


def test_the_stage_is_plain_if_only_one_came_later() -> None:
    assert "stars lost 40.0 points while learning mood." in verdict(found([[0, 0], [90, 0], [50, 80]]))


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        (88, "No task lost 5 points or more; the most is 2.0, by stars."),
        (90, "No earlier task lost anything."),
        (95, "No earlier task lost anything."),
    ],
)
def test_a_run_that_forgets_little_says_so(end: float, sentence: str) -> None:
    assert sentence in verdict(found([[0, 0], [90, 0], [end, 80]]))


@pytest.mark.parametrize(("end", "words"), [(90, "as many as"), (95, "2.5 more than")])
def test_nothing_is_said_to_be_kept_of_more_than_there_was(end: float, words: str) -> None:
    assert f"{words} right after learning each" in verdict(found([[0, 0], [90, 0], [end, 80]]))[0]


def test_a_task_that_was_never_learned_is_not_praised_for_losing_nothing() -> None:
    said = verdict(found([[10, 96], [12, 95], [12, 97]]))
    assert "stars was hardly learned: its own training took it from 10.0 to 12.0." in said
    assert not [sentence for sentence in said if "mood was hardly" in sentence]  # 95 points are known before


def test_other_wordings_stand_beside_the_chosen_ones() -> None:
    said = verdict(found([[0, 0], [90, 0], [60, 80]]))
    assert "Under the original wordings it ends at 60.0 points instead of 70.0." in said


def test_choices_are_counted_by_their_lead_over_the_original() -> None:
    r = [[0, 0, 0], [90, 0, 0], [90, 90, 0], [90, 90, 90]]
    margins = {"stars": margin((-0.2, -0.1)), "mood": margin((-0.2, 0.1)), "oldest": margin(None)}
    assert (
        "For 2 tasks another wording than the original was chosen; its loss is clearly lower for 1 "
        "(95 % interval), and 1 kept the original."
    ) in verdict(found(r, THREE, certainty=margins))
    kept = verdict(found(r, THREE, certainty={"stars": margin(None), "mood": None}))
    assert "The original wording was kept for the one task." in kept


def test_what_is_watched_is_named_if_it_changed() -> None:
    watched = {
        "facts": WatchedScores("accuracy", [60.0, 58.0, 50.0], [2.0, 10.0], {}),
        "sums": WatchedScores("accuracy", [60.0, 60.0, 60.5], [0.0, -0.5], {}),
    }
    said = verdict(found([[0, 0], [90, 0], [90, 80]], watched=watched))
    assert said[-1] == "facts, which is watched and never trained, fell from 60.0 to 50.0."


def test_runs_without_a_sequence_have_a_verdict_too() -> None:
    assert verdict(found([[40, 60]]))[0] == (
        "Nothing was trained: the model scores 50.0 of 100 points (ROUGE-L, mean over tasks)."
    )
    assert verdict(found([[0, 10], [80, 90]], lessons=["joint"]))[0] == (
        "Trained on 2 tasks at once, the model scores 85.0 of 100 points (ROUGE-L, mean over tasks), 5.0 "
        "before."
    )
    assert verdict(found([[10], [80]], ["stars"]))[:2] == [
        "After its one task, the model scores 80.0 of 100 points (ROUGE-L, mean over tasks), 10.0 before.",
        "Under the original wordings it ends at 70.0 points instead of 80.0.",
    ]


def test_of_many_tasks_three_get_sentences_of_their_own() -> None:
    names = [f"t{n}" for n in range(7)]
    r = [[0.0] * 7, *([90.0] * (n + 1) + [0.0] * (6 - n) for n in range(7))]
    r[7] = [40.0, 30.0, 20.0, 10.0, 80.0, 90.0, 90.0]
    said = verdict(found(r, names))
    assert [sentence.split()[0] for sentence in said[1:4]] == ["t3", "t2", "t1"]
    assert said[4:6] == [
        "2 more tasks lost 5 points or more: t0, t4.",
        "1 other task lost less than 5 points.",
    ]
    nothing = verdict(found([[10.0] * 7] * 8, names))
    assert (
        "7 tasks were hardly learned, their own training added less than 5 points: "
        "t0, t1, t2, t3, t4, t5, t6."
    ) in nothing
