"""The lab's wordings: many, seeded, and each names all labels."""

import json
from itertools import islice
from random import Random

import pytest

from sapo_lite.errors import ParaphraseError
from sapo_lite.lab.grammar import Phrasing, form, names_label
from sapo_lite.lab.heldout import TASKS
from sapo_lite.lab.wordings import PHRASINGS, SUFFIX, original, worded, wordings
from sapo_lite.prompts.sources.builtin import Builtin
from sapo_lite.prompts.sources.rules import rewordings
from sapo_lite.support.shipped import shipped
from sapo_lite.types import Task

every_task = pytest.mark.parametrize("task", TASKS)


def test_originals_are_plain_imperatives() -> None:
    assert original("stars") == "your task is to rate the review from 1 to 3 stars . answer with 1 , 2 or 3 ."
    assert original("oldest") == "your task is to name the oldest person ."
    assert all(form(phrasing.cores[0]) == "imperative" for phrasing in PHRASINGS.values())


@every_task
def test_a_task_has_at_least_six_core_phrases_of_all_forms(task: str) -> None:
    cores = PHRASINGS[task].cores
    assert len(set(cores)) == len(cores) >= 6
    assert {form(core) for core in cores} == {"imperative", "question", "noun phrase"}


@every_task
def test_wordings_are_distinct_seeded_and_never_the_original(task: str) -> None:
    drawn = wordings(task, 200, seed=3)
    assert len(set(drawn)) == len(drawn) == 200
    assert original(task) not in drawn
    assert wordings(task, 20, seed=3) == drawn[:20]
    assert wordings(task, 20, seed=4) != drawn[:20]


@every_task
def test_wordings_name_every_label_and_have_no_slot_left(task: str) -> None:
    for wording in [original(task), *wordings(task, 200, seed=0)]:
        assert all(names_label(wording, label) for label in TASKS[task].labels), wording
        assert not set("[]|{}") & set(wording), wording
        assert wording == " ".join(wording.split())


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
        ParaphraseError, match=r"expected 9000 different wordings .*'oldest', found \d+ .*: ask for fewer"
    ):
        wordings("oldest", 9000, seed=0)


# The builtin paraphraser


def lab_task(task: str, instruction: str) -> Task:
    labels = TASKS[task].labels if task in TASKS else ()
    return Task(task, "lab", instruction, SUFFIX, labels, "en", train=(), test=())


def test_builtin_gives_wordings_from_the_grammar() -> None:
    task = lab_task("mood", original("mood"))
    assert list(Builtin(seed=5).answers(task, range(20), [])) == wordings("mood", 20, seed=5)


def test_builtin_has_no_more_wordings_than_the_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Phrasing("list", ("name the oldest", "say who is oldest"))
    monkeypatch.setitem(PHRASINGS, "oldest", plain)
    given = list(Builtin(seed=0).answers(lab_task("oldest", original("oldest")), range(500), []))
    with pytest.raises(ParaphraseError, match="in the grammar"):
        wordings("oldest", len(given) + 1, seed=0)
    assert given == wordings("oldest", len(given), seed=0)


@pytest.mark.parametrize("task", ["task195", "mood"])  # the second: a foreign task of the same name
def test_builtin_rewords_tasks_it_does_not_know_by_rules(task: str) -> None:
    foreign = lab_task(task, "Classify the tweet.")
    texts = list(Builtin(seed=0).answers(foreign, range(3), []))
    assert texts == list(islice(rewordings(foreign, 0), 3))
    assert len(texts) == 3


# The hand-written candidates

C1_LABELS = {
    "task195_sentiment140_classification": ["positive", "negative"],
    "task1310_amazonreview_rating_classification": ["1", "2", "3", "4", "5"],
    "task273_europarl_classification": ["yes", "no"],
    "task611_mutual_multi_turn_dialogue": ["A", "B", "C", "D"],
    "task224_scruples_anecdotes_ethical_judgment": ["RIGHT", "WRONG"],
}


def test_c1_candidates_are_twenty_a_task_and_keep_the_labels() -> None:
    path = shipped("data") / "candidates" / "ni_seq_c1.json"
    candidates = json.loads(path.read_text(encoding="utf-8"))
    assert list(candidates) == list(C1_LABELS)
    for task, texts in candidates.items():
        assert len({" ".join(text.lower().split()) for text in texts}) == len(texts) == 20
        for text in texts:
            assert text.strip() == text != ""
            assert all(names_label(text, label) for label in C1_LABELS[task]), text
