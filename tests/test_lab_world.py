"""The lab's tasks and families: seeded, right by construction, and apart from each other."""

import json
import re
from itertools import product
from pathlib import Path
from random import Random

import pytest

import lab_checkers
from sapo_lite.lab import build, words
from sapo_lite.lab.families import FAMILIES
from sapo_lite.lab.heldout import TASKS
from sapo_lite.lab.mixture import lesson
from sapo_lite.lab.wordings import PHRASINGS, SUFFIX, original, wordings
from sapo_lite.lab.world import examples
from sapo_lite.support.shipped import shipped

every_task = pytest.mark.parametrize("task", TASKS)


# Held-out tasks


@every_task
def test_same_seed_draws_the_same_examples_and_another_seed_others(task: str) -> None:
    assert examples(task, 50, seed=1) == examples(task, 50, seed=1)
    assert examples(task, 50, seed=1) != examples(task, 50, seed=2)


@every_task
def test_every_answer_is_right(task: str) -> None:
    for example in examples(task, 2000, seed="checked"):
        assert lab_checkers.HELD_OUT[task](example.input) == example.answer, example


@every_task
def test_answers_are_labels_and_every_label_is_common(task: str) -> None:
    labels = TASKS[task].labels
    answers = [example.answer for example in examples(task, 1000, seed="counted")]
    assert not labels or set(answers) == set(labels)
    assert all(answers.count(label) > 700 / len(labels) for label in labels)


@every_task
def test_a_task_has_inputs_enough_to_keep_its_splits_apart(task: str) -> None:
    assert len({example.input for example in examples(task, 3000, seed="many")}) > 1000
    inputs = [
        row.input for rows in build.splits(task).values() for row in {r.input: r for r in rows}.values()
    ]
    assert len(set(inputs)) == len(inputs)


def test_avoided_inputs_do_not_come_and_answers_keep_their_share() -> None:
    avoid = {example.input for example in examples("mood", 200, seed="first")}
    drawn = examples("mood", 400, seed="second", avoid=avoid)
    assert avoid.isdisjoint(example.input for example in drawn)
    assert 160 < sum(example.answer == "bright" for example in drawn) < 240


def test_a_task_without_inputs_left_says_what_to_do() -> None:
    avoid = {example.input for example in examples("manners", 50_000, seed="all")}
    with pytest.raises(ValueError, match="give the task more inputs, or draw fewer examples"):
        examples("manners", 50, seed=0, avoid=avoid)


# Pretraining families


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_seeded_and_its_instruction_fills_every_slot(family: str) -> None:
    def drawn(seed: int) -> list[object]:
        rng = Random(seed)
        return [lesson(FAMILIES[family], rng) for _ in range(30)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert not any(set("[]|{}") & set(one.instruction) for one in drawn(1))  # type: ignore[attr-defined]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_core_phrase_says_all_that_decides_the_answer(family: str) -> None:
    slots = FAMILIES[family].draw(Random(0)).slots
    for core in FAMILIES[family].phrasing.cores:
        assert set(re.findall(r"\{(\w+)\}", core)) == set(slots), core


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_gives_one_answer_to_one_question(family: str) -> None:
    rng, answers = Random(3), dict[tuple[str, str], str]()
    for _ in range(1000):
        draw = FAMILIES[family].draw(rng)
        question = (draw.input, str(sorted(draw.slots.items())))
        assert answers.setdefault(question, draw.answer) == draw.answer, draw
    labels = FAMILIES[family].phrasing.labels
    assert not labels or set(answers.values()) == set(labels)


@pytest.mark.parametrize("family", lab_checkers.FAMILIES)
def test_a_familys_answers_are_right(family: str) -> None:
    rng = Random(7)
    for _ in range(500):
        draw = FAMILIES[family].draw(rng)
        assert lab_checkers.FAMILIES[family](draw.input, draw.slots) == draw.answer, draw


@pytest.mark.parametrize("table", ["KINDS", "TOPICS", "FEELINGS", "ADJECTIVES_BY_STARS"])
def test_no_word_is_of_two_kinds(table: str) -> None:
    listed = [word for group in getattr(words, table).values() for word in group]
    assert len(set(listed)) == len(listed)


# Nothing held out is in pretraining


def readings(core: str) -> set[str]:
    """Every way to fill the [a|b] slots of a core phrase."""
    parts = [p.split("|") if n % 2 else [p] for n, p in enumerate(re.split(r"[\[\]]", core))]
    return {"".join(choice) for choice in product(*parts)}


def test_no_held_out_task_or_phrase_is_in_pretraining() -> None:
    assert set(TASKS).isdisjoint(FAMILIES)
    pretrained = {r for family in FAMILIES.values() for core in family.phrasing.cores for r in readings(core)}
    held_out = {r for phrasing in PHRASINGS.values() for core in phrasing.cores for r in readings(core)}
    assert pretrained.isdisjoint(held_out)


def test_no_lesson_of_pretraining_has_a_held_out_instruction_or_an_example() -> None:
    rng = Random(11)
    lessons = [lesson(family, rng) for family in FAMILIES.values() for _ in range(100)]
    instructions = {w for task in TASKS for w in [original(task), *wordings(task, 200, seed=1)]}
    assert instructions.isdisjoint(one.instruction for one in lessons)
    held_out = {(e.input, e.answer) for task in TASKS for e in examples(task, 300, seed=1)}
    assert held_out.isdisjoint((one.input, one.answer) for one in lessons)


# The files


def test_data_on_disk_is_what_the_generators_write() -> None:
    folder = shipped("data") / "lab"
    written = build.files()
    on_disk = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert on_disk == set(written)
    for relative, text in written.items():
        assert (folder / relative).read_bytes() == text.encode(), (
            f"{relative}: run python -m sapo_lite.lab.build"
        )


def test_build_writes_the_published_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build.main([str(tmp_path)])
    assert capsys.readouterr().out == f"Wrote 12 tasks to {tmp_path}\n"
    published = json.loads((tmp_path / "instructions.json").read_text(encoding="utf-8"))
    assert list(published) == list(TASKS)
    for task, entry in published.items():
        assert entry["instruction"] == original(task)
        assert entry["suffix"] == SUFFIX
        assert entry["labels"] == list(TASKS[task].labels)
        for split, size in zip(["train", "dev", "test"], entry["size"], strict=True):
            rows = json.loads((tmp_path / task / f"{split}.json").read_text(encoding="utf-8"))
            assert len(rows) == size
            assert all(lab_checkers.HELD_OUT[task](row["sentence"]) == row["label"] for row in rows)
