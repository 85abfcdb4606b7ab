"""The lab's wordings: many, seeded, and each names all labels."""

from random import Random

import pytest

from sapo_lite.errors import ParaphraseError
from sapo_lite.lab.grammar import Phrasing, form, names_label
from sapo_lite.lab.heldout import TASKS
from sapo_lite.lab.source import LabWordings
from sapo_lite.lab.wordings import PHRASINGS, SUFFIX, original, worded, wordings
from sapo_lite.types import Task


def test_originals_are_plain_imperatives() -> None:
    assert original("stars") == "your task is to rate the review from 1 to 3 stars . answer with 1 , 2 or 3 ."
    assert original("oldest") == "your task is to name the oldest person ."
    assert all(form(phrasing.cores[0]) == "imperative" for phrasing in PHRASINGS.values())


def test_a_task_has_at_least_six_core_phrases_of_all_forms() -> None:
    for task, phrasing in PHRASINGS.items():
        cores = phrasing.cores
        assert len(set(cores)) == len(cores) >= 6, task
        assert {form(core) for core in cores} == {"imperative", "question", "noun phrase"}, task


def test_wordings_are_distinct_seeded_and_never_the_original() -> None:
    for task in TASKS:
        drawn = wordings(task, 200, seed=3)
        assert len(set(drawn)) == len(drawn) == 200, task
        assert original(task) not in drawn, task
        assert wordings(task, 20, seed=3) == drawn[:20], task
        assert wordings(task, 20, seed=4) != drawn[:20], task


def test_wordings_name_every_label_and_have_no_slot_left() -> None:
    for task in TASKS:
        for wording in [original(task), *wordings(task, 200, seed=0)]:
            assert all(names_label(wording, label) for label in TASKS[task].labels), f"{task}: {wording}"
            assert not set("[]|{}") & set(wording), f"{task}: {wording}"
            assert wording == " ".join(wording.split()), f"{task}: {wording}"


def test_a_label_inside_another_word_or_case_does_not_count() -> None:
    assert names_label("answer with A , B or C .", "A")
    assert not names_label("pick a title , Anna", "A")
    assert not names_label("rate it 10 or 21", "1")


def test_all_core_phrases_come_among_candidates() -> None:
    cores = PHRASINGS["oldest"].cores
    drawn = [worded("oldest", n % len(cores), Random(n)) for n in range(80)]
    assert "the name of the senior" in " ".join(drawn)
    found = {core for core in cores if any(core in w for w in wordings("oldest", 100, seed=0))}
    assert len(found) >= len(cores) - 1  # one has a slot


def test_an_article_before_a_vowel_is_an() -> None:
    text = " ".join(wordings("title", 150, seed=2))
    assert " an article " in text
    assert " a article " not in text


def test_more_wordings_than_the_grammar_has_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"expected 9000 different wordings .*'oldest', found \d+ .*: ask for fewer"
    ):
        wordings("oldest", 9000, seed=0)


# The source of paraphrases


def lab_task(task: str, instruction: str) -> Task:
    labels = TASKS[task].labels if task in TASKS else ()
    return Task(task, "lab", instruction, SUFFIX, labels, "en", train=(), test=())


def test_the_source_gives_the_wordings_of_its_seed() -> None:
    task = lab_task("mood", original("mood"))
    assert list(LabWordings(seed=5).answers(task, range(20), [])) == wordings("mood", 20, seed=5)
    assert list(LabWordings(seed=5).answers(task, range(8, 20), [])) == wordings("mood", 20, seed=5)[8:]


def test_the_source_ends_where_the_grammar_has_no_more_wordings(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Phrasing("list", ("name the oldest", "say who is oldest"))
    monkeypatch.setitem(PHRASINGS, "oldest", plain)
    given = list(LabWordings(seed=0).answers(lab_task("oldest", original("oldest")), range(500), []))
    with pytest.raises(ValueError, match="in the grammar"):
        wordings("oldest", len(given) + 1, seed=0)
    assert given == wordings("oldest", len(given), seed=0)


@pytest.mark.parametrize("task", ["task195", "mood"])  # the second: a foreign task of the same name
def test_an_instruction_that_is_not_the_labs_is_refused_with_the_source_to_use(task: str) -> None:
    with pytest.raises(ParaphraseError) as refused:
        list(LabWordings(seed=0).answers(lab_task(task, "Classify the tweet."), range(3), []))
    assert str(refused.value) == (
        'paraphrase.backend "lab" words the tasks of the lab alone: expected the instruction of one, found '
        '"Classify the tweet.". Use "builtin", which rewords any instruction by rules.'
    )
