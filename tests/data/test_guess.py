"""Guesses about files: columns, labels, language, questions."""

import json
from pathlib import Path
from typing import Any

import pytest

from sapo_lite.data.guess import Guess, guess, paired
from sapo_lite.errors import DataError
from shop import QUESTIONS, TICKETS


def guessed(folder: Path, rows: list[Any]) -> Guess:
    path = folder / "x.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return guess("x", str(path), None)


REVIEWS = [
    {"id": n, "date": "2024-01-01 10:00", "text": f"It was day {n} .", "stars": n % 5 + 1} for n in range(40)
]
CHINESE = [{"句子": f"这家餐馆的第{n}道菜很好吃", "标签": "积极" if n % 2 else "消极"} for n in range(40)]
ALPACA = [
    {"instruction": f"Say {n} aloud .", "input": "so" * (n % 2), "output": f"It is {n} ."} for n in range(60)
]
ONE_ASKED = [{"instruction": "Say it .", "input": f"the word {n}", "output": f"word {n}"} for n in range(60)]
SUMMARIES = [{"article": f"A long text about day {n} .", "summary": f"Day {n} ."} for n in range(60)]


@pytest.mark.parametrize(
    ("rows", "template", "answer", "labels", "instruction"),
    [
        (
            TICKETS,
            "{subject}\n{body}",
            "topic",
            {"billing", "shipping", "returns"},
            "Which label fits the text: ",
        ),
        (REVIEWS, "text", "stars", {"1", "2", "3", "4", "5"}, "Which label fits the text: 1, 2, 3, 4 or 5?"),
        (QUESTIONS, "{context}\n{question}", "answer", set(), "Answer the question from the text."),
        (CHINESE, "句子", "标签", {"积极", "消极"}, "判断文本属于哪一类:"),
        (ALPACA, "{instruction}\n{input}", "output", set(), "Read the text and write the answer."),
        (ONE_ASKED, "input", "output", set(), "Say it ."),
        (SUMMARIES, "article", "summary", set(), "Summarise the text."),
    ],
    ids=["tickets", "reviews", "questions", "chinese", "alpaca", "one instruction", "summaries"],
)
def test_a_file_tells_what_is_read_and_answered(
    tmp_path: Path, rows: list[Any], template: str, answer: str, labels: set[str], instruction: str
) -> None:
    found = guessed(tmp_path, rows)
    assert (found.input, found.answer, set(found.labels), found.rows) == (template, answer, labels, len(rows))
    assert found.instruction.startswith(instruction)
    assert found.language == ("zh" if rows is CHINESE else "en")


def test_many_labels_stand_in_the_suffix_which_is_not_paraphrased(tmp_path: Path) -> None:
    found = guessed(tmp_path, [{"text": f"It was day {n} .", "label": f"l{n % 20}"} for n in range(200)])
    assert (found.instruction, len(found.labels)) == ("Which label fits the text?", 20)
    assert "l0, l1, l10" in found.suffix


def test_rows_without_two_columns_are_no_task(tmp_path: Path) -> None:
    for rows, message in (
        ([{"text": "a"}], "expected columns of inputs and answers, found text"),
        ([3], "row 1"),
    ):
        with pytest.raises(DataError, match=message):
            guessed(tmp_path, rows)


def test_files_of_one_task_are_taken_together() -> None:
    assert paired(["a_train.csv", "b.json", "a_test.csv"]) == [
        ("a", "a_train.csv", "a_test.csv"),
        ("b", "b.json", None),
    ]
    assert paired(["x/test.json", "x/train.json"]) == [("x", "x/train.json", "x/test.json")]
    assert paired(["x/test.json", "y/train.json"]) == [
        ("test", "x/test.json", None),
        ("train", "y/train.json", None),
    ]


def test_names_of_tasks_are_made_different() -> None:
    names = [name for name, _, _ in paired(["a/x.csv", "b/x.csv", "hf:owner/set:config#train"])]
    assert names == ["x_1", "x_2", "set"]
