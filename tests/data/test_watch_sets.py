"""The shipped watch set: what every item must be, and how the set is made up."""

import unicodedata
from collections import Counter
from pathlib import Path

from sapo_lite.data.watch_sets import is_set, read_watch_set, set_file, watch_sets

ITEMS = read_watch_set("general")


def folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def test_the_general_set_has_equally_many_items_of_six_kinds() -> None:
    assert watch_sets() == ["general"]
    kinds = "reasoning, arithmetic, common sense, instruction following, safety, chinese".split(", ")
    assert Counter(item.category for item in ITEMS) == dict.fromkeys(kinds, 34)


def test_questions_are_unique_and_so_are_the_choices_of_each() -> None:
    assert len({folded(item.question) for item in ITEMS}) == len(ITEMS)
    for item in ITEMS:
        assert item.question == item.question.strip() != ""
        assert all(choice == choice.strip() != "" for choice in item.choices)
        assert len(set(item.choices)) == len(item.choices) == 4, item.question


def test_the_right_answer_is_a_choice_and_equally_often_at_every_place() -> None:
    assert all(item.answer in range(4) for item in ITEMS)
    for category in {item.category for item in ITEMS}:
        places = Counter(item.answer for item in ITEMS if item.category == category)
        assert sorted(places.values()) == [8, 8, 9, 9]


def test_the_longest_choice_is_no_hint() -> None:
    """Always taking the longest or the shortest choice is right about as often as chance."""
    for pick in (max, min):
        right = sum(pick(item.choices, key=len) == item.choices[item.answer] for item in ITEMS)
        assert 0.1 < right / len(ITEMS) < 0.4, (pick, right)


def test_chinese_items_are_chinese_and_others_are_not() -> None:
    for item in ITEMS:
        han = any("\u4e00" <= character <= "\u9fff" for character in item.question)
        assert han == (item.category == "chinese"), item.question


def test_sets_and_tasks_of_the_harness_are_told_from_tasks_of_a_suite(tmp_path: Path) -> None:
    assert [is_set(name) for name in ("general", "harness:arc_easy", "mood", "195")] == [
        True,
        True,
        False,
        False,
    ]
    (tmp_path / "own.yaml").touch()
    assert set_file("harness:own.yaml", tmp_path) == tmp_path / "own.yaml"
    assert set_file("harness:other.yaml", tmp_path) is None
    assert set_file("harness:arc_easy", tmp_path) is None
