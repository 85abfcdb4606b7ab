"""Predictions for new rows: answers, labels and probabilities, in a file that is gone on with."""

import csv
import json
import math
from pathlib import Path

import pytest

from sapo_lite.data.new_rows import read_new_rows
from sapo_lite.errors import DataError, RunFolderError
from sapo_lite.run.answering import Answers, load_answers
from sapo_lite.run.predict import PredictionFile, predict, predict_all
from sapo_lite.run.progress import Silent
from sapo_lite.run.snapshot import read_snapshot
from small import small_run

QUIET = Silent(lambda notice: None)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Of a run of a task with labels and one without."""
    out = tmp_path_factory.mktemp("run") / "lab"
    small_run(out, "sequence.tasks=['oldest','mood']", "evaluation.prompts=chosen", "training.epochs=1")
    return load_answers(read_snapshot(out), QUIET)


def rows(tmp_path: Path, count: int = 70) -> Path:
    path = tmp_path / "new.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows([[n, f'kate : {n} years , "john" : {count - n} years'] for n in range(count)])
    return path


@pytest.mark.slow
def test_answers_to_test_rows_are_those_of_the_run(answers: Answers) -> None:
    snapshot = answers.snapshot
    for task in snapshot.tasks.values():
        _, stored = snapshot.stored_rows(task)
        assert answers.answer(task, [row.input for row in stored]) == [row.answer for row in stored]


def test_probabilities_are_those_of_the_whole_answers(answers: Answers) -> None:
    task = answers.snapshot.tasks["mood"]
    assert task.labels
    (one,) = predict(answers, task, ["the film was a joy"])
    losses = answers.losses(task, [("the film was a joy", label) for label in task.labels])
    weights = [math.exp(-loss) for loss in losses]
    expected = {label: w / sum(weights) for label, w in zip(task.labels, weights, strict=True)}
    assert one.probabilities == pytest.approx(expected)
    assert sum(one.probabilities.values()) == pytest.approx(1)
    assert one.probability == (one.probabilities[one.label] if one.label else None)
    free = answers.snapshot.tasks["oldest"]
    (one,) = predict(answers, free, ["kate : 1 years"])
    (loss,) = answers.losses(free, [("kate : 1 years", one.answer)])
    assert (one.probability, one.label, one.probabilities) == (pytest.approx(math.exp(-loss)), None, {})


def test_long_inputs_are_cut_as_in_the_run(answers: Answers) -> None:
    task = answers.snapshot.tasks["oldest"]
    long = "kate : 41 years , " * 200
    (cut,) = answers.fitted(task, [long])
    assert long.startswith(cut)
    assert len(cut) < len(long)
    assert answers.answer(task, [long]) == answers.answer(task, [cut])


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_file_of_predictions_has_the_columns_of_its_rows(
    ending: str, answers: Answers, tmp_path: Path
) -> None:
    new, out = read_new_rows(rows(tmp_path)), tmp_path / f"out{ending}"
    task = answers.snapshot.tasks["mood"]
    predict_all(PredictionFile(out, answers.snapshot, task, new), answers, task, new, QUIET)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["new.csv", out.name]
    if ending == ".csv":
        found = list(csv.DictReader(out.open(newline="")))
        assert list(found[0]) == ["id", "text", "predicted_answer", "predicted_label", "probability"]
    else:
        found = [json.loads(line) for line in out.read_text().splitlines()]
        assert set(found[0]["probabilities"]) == set(task.labels)
    assert [row["id"] for row in found] == [str(n) for n in range(70)]
    assert [row["predicted_answer"] for row in found] == answers.answer(task, new.texts)


def test_a_killed_process_is_gone_on_with_to_the_same_bytes(answers: Answers, tmp_path: Path) -> None:
    new, task = read_new_rows(rows(tmp_path)), answers.snapshot.tasks["oldest"]
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    predict_all(PredictionFile(whole, answers.snapshot, task, new), answers, task, new, QUIET)
    begun = PredictionFile(out, answers.snapshot, task, new)
    begun.add(predict(answers, task, new.texts[:64]))
    partial = tmp_path / ".out.jsonl.partial"
    partial.write_text(partial.read_text() + '{"answer": "half a li')
    again = PredictionFile(out, answers.snapshot, task, new)
    assert len(again.made) == 64
    predict_all(again, answers, task, new, QUIET)
    assert out.read_bytes() == whole.read_bytes()
    assert not partial.exists()


def test_predictions_for_other_rows_are_not_gone_on_with(answers: Answers, tmp_path: Path) -> None:
    task, out = answers.snapshot.tasks["oldest"], tmp_path / "out.jsonl"
    PredictionFile(out, answers.snapshot, task, read_new_rows(rows(tmp_path, 3))).add([])
    with pytest.raises(RunFolderError, match="holds predictions for other rows, or of another task or stage"):
        PredictionFile(out, answers.snapshot, task, read_new_rows(rows(tmp_path, 4)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("out.txt", "expected a name that ends with .csv or .jsonl"),
        ("new.csv", "new.csv exists. Delete it, or choose another name"),
    ],
)
def test_a_file_that_cannot_be_written_is_said_first(
    name: str, said: str, answers: Answers, tmp_path: Path
) -> None:
    new = read_new_rows(rows(tmp_path))
    with pytest.raises(DataError, match=said):
        PredictionFile(tmp_path / name, answers.snapshot, answers.snapshot.tasks["mood"], new)


def test_inputs_are_a_column_a_template_or_what_is_guessed(tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    path.write_text('{"title": "a", "body": "b", "n": 1}\n{"title": "c", "body": "d", "n": 2}\n')
    assert read_new_rows(path, "{title}: {body}").texts == ["a: b", "c: d"]
    assert read_new_rows(path, "n").texts == ["1", "2"]
    with pytest.raises(DataError, match=r"expected one column for the input, found .*Name it with --input"):
        read_new_rows(path)
    path.write_text('{"text": "a", "answer": "x"}\n{"answer": "y"}\n')
    with pytest.raises(DataError, match='line 2: expected a text in "text", found nothing'):
        read_new_rows(path)


def test_a_column_that_would_be_written_twice_is_refused(answers: Answers, tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    path.write_text('{"text": "a", "probability": 1}\n')
    with pytest.raises(DataError, match="expected no column probability, which is written, found one"):
        PredictionFile(
            tmp_path / "o.csv", answers.snapshot, answers.snapshot.tasks["mood"], read_new_rows(path)
        )
