"""The lab's tasks: seeded, right by construction, and on disk as they are generated."""

import json
from pathlib import Path

import pytest

import lab_checkers
from sapo_lite.lab import build, words
from sapo_lite.lab.heldout import TASKS
from sapo_lite.lab.wordings import SUFFIX, original
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


@pytest.mark.parametrize("table", ["KINDS", "TOPICS", "FEELINGS", "ADJECTIVES_BY_STARS"])
def test_no_word_is_of_two_kinds(table: str) -> None:
    listed = [word for group in getattr(words, table).values() for word in group]
    assert len(set(listed)) == len(listed)


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
