"""Tasks of the tables [[sequence.task]]: what is read, split, drawn and refused."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sapo_lite.data.fingerprint import data_fingerprint
from sapo_lite.data.tasks import load_sequence
from sapo_lite.data.template import Template
from sapo_lite.errors import DataError
from sapo_lite.recipe import SequenceConfig, TaskConfig, load_recipe
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.types import Example, Task
from shop import QUESTIONS, REVIEWS, TICKETS, write_shop

YES_NO = [{"text": f"text {n}", "label": "yes" if n % 2 else "no"} for n in range(40)]


def put(path: Path, rows: list[dict[str, Any]]) -> str:
    """Write rows in the format of the file's ending; the path."""
    if path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return str(path)


def config(**settings: Any) -> SequenceConfig:
    limits = {
        key: settings.pop(key) for key in ("train_examples", "test_examples", "draw") if key in settings
    }
    own = TaskConfig.model_validate({"name": "mine", "instruction": "Say it .", **settings})
    return SequenceConfig(task=(own,), **limits)


def load(**settings: Any) -> Task:
    return load_sequence(config(**settings))[0]


def problem(**settings: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(**settings)
    return str(caught.value)


# --- what is read


def test_a_recipe_of_three_formats_loads(tmp_path: Path) -> None:
    notices: list[str] = []
    tickets, reviews, questions = load_sequence(
        load_recipe(write_shop(tmp_path)).sequence, notify=notices.append
    )
    assert (tickets.id, tickets.key, tickets.suite) == ("tickets", "tickets", "own")
    assert set(tickets.labels) == {"billing", "shipping", "returns"}
    assert (reviews.labels, questions.labels) == (("1", "2"), ())
    assert [task.metric for task in (tickets, reviews, questions)] == ["accuracy", "accuracy", "rougeL"]
    assert [(len(task.train), len(task.test)) for task in (tickets, reviews, questions)] == [
        (48, 12), (30, 10), (16, 4),
    ]  # fmt: skip
    assert Counter(example.answer for example in tickets.test) == dict.fromkeys(tickets.labels, 4)
    assert {e.input for e in tickets.train + tickets.test} == {
        f"{t['subject']}\n{t['body']}" for t in TICKETS
    }
    assert {e.input for e in reviews.train + reviews.test} == {str(row["review"]) for row in REVIEWS}
    assert {e.answer for e in questions.train + questions.test} == {row["answer"] for row in QUESTIONS}
    assert notices == [
        "tickets: 48 training examples and 12 test examples, drawn by seed 0 and by label",
        f"{tmp_path}/reviews.jsonl: inputs from column review",
        "reviews: 30 training examples and 10 test examples, drawn by seed 0 and by label",
        f"{tmp_path}/questions.json: answers from column answer",
        "questions: 16 training examples and 4 test examples, drawn by seed 0",
    ]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".json", ".jsonl"])
def test_a_task_is_the_same_in_every_format(tmp_path: Path, ending: str) -> None:
    task = load(file=put(tmp_path / f"x{ending}", YES_NO), labels="auto", test=4)
    assert task == load(file=put(tmp_path / "y.json", YES_NO), labels="auto", test=4)


@pytest.mark.parametrize(
    ("template", "columns", "text"),
    [
        ("a", ("a",), "1"),
        ("{a}", ("a",), "1"),
        ("{a}\n{b c}", ("a", "b c"), "1\n2"),
        ("{{{a}}} {a}", ("a",), "{1} 1"),
        ("Q: {b c}?", ("b c",), "Q: 2?"),
    ],
)
def test_a_template_is_a_column_or_a_text_with_columns_in_braces(
    template: str, columns: tuple[str, ...], text: str
) -> None:
    found = Template(template)
    assert (found.columns, found.fill({"a": "1", "b c": "2"})) == (columns, text)
    assert found.is_column == (template == "a")


def test_braces_in_a_cell_mean_nothing(tmp_path: Path) -> None:
    rows = [{"a": f"{{b}} {n}", "b": "x", "label": "l"} for n in range(4)]
    task = load(file=put(tmp_path / "x.json", rows), input="{a}|{b}", test=1)
    assert {e.input for e in (*task.train, *task.test)} == {f"{{b}} {n}|x" for n in range(4)}


def test_rows_of_alpaca_can_be_read_by_a_template(tmp_path: Path) -> None:
    rows = [{"instruction": f"Say {n} .", "input": "", "output": f"{n}"} for n in range(4)]
    task = load(file=put(tmp_path / "x.json", rows), input="{instruction}{input}", answer="output", test=1)
    assert {e.input for e in (*task.train, *task.test)} == {f"Say {n} ." for n in range(4)}


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    path = put(tmp_path / "x.csv", TICKETS)
    message = problem(file=path, input="{subjct}\n{body}", answer="topic")
    assert message == (
        f'task mine: {path}: no column "subjct" (it has "id", "subject", "body", "topic"); '
        'did you mean "subject"?'
    )
    assert 'no column "team"' in problem(file=path, input="body", answer="team")


def test_an_input_that_could_be_two_columns_is_not_guessed(tmp_path: Path) -> None:
    path = put(tmp_path / "x.json", QUESTIONS)
    assert "expected one column for the input" in problem(file=path)


def test_faults_of_all_tasks_are_reported_at_once(tmp_path: Path) -> None:
    recipe = load_recipe(write_shop(tmp_path))
    (tmp_path / "tickets.csv").unlink()
    (tmp_path / "questions.json").write_text("[3]", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_sequence(recipe.sequence)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"task tickets: {tmp_path}/tickets.csv: ")
    assert second.startswith(f"task questions: {tmp_path}/questions.json")


# --- labels and metrics


def test_labels_are_the_answers_of_the_training_rows_or_a_list_or_none(tmp_path: Path) -> None:
    path = put(tmp_path / "x.json", YES_NO)
    assert set(load(file=path, labels="auto").labels) == {"yes", "no"}
    assert load(file=path, labels=["no", "yes", "maybe"]).labels == ("no", "yes", "maybe")
    assert load(file=path).labels == ()


def test_answers_that_are_no_labels_are_refused_as_labels(tmp_path: Path) -> None:
    path = put(tmp_path / "x.json", QUESTIONS)
    assert problem(file=path, input="question", labels="auto") == (
        'task mine: labels = "auto": expected at most 8 different answers in 16 rows, found 16. Leave labels '
        "out for free text, or list them."
    )


def test_the_metric_is_the_recipes_or_follows_from_the_labels(tmp_path: Path) -> None:
    path = put(tmp_path / "x.json", YES_NO)
    metrics = [load(file=path, **own).metric for own in ({"labels": "auto"}, {}, {"metric": "exact_match"})]
    assert metrics == ["accuracy", "rougeL", "exact_match"]


def test_the_language_is_the_recipes_or_that_of_the_instruction(tmp_path: Path) -> None:
    path = put(tmp_path / "x.json", YES_NO)
    assert load(file=path, instruction="判断文本的情感。").language == "zh"
    assert load(file=path, instruction="判断 sentiment", language="en").language == "en"


# --- tests


def test_rows_to_test_with_are_a_share_a_number_or_a_file(tmp_path: Path) -> None:
    path, other = put(tmp_path / "x.json", YES_NO), put(tmp_path / "y.csv", YES_NO[:7])
    counts = [
        (len(task.train), len(task.test))
        for task in (
            load(file=path),
            load(file=path, test=0.5),
            load(file=path, test=3),
            load(file=path, test=other),
            load(train=path, test=other),
        )
    ]
    assert counts == [(32, 8), (20, 20), (37, 3), (40, 7), (40, 7)]


def test_a_name_to_watch_that_is_no_set_is_refused_with_the_way_to_watch_a_task(tmp_path: Path) -> None:
    sequence = config(file=put(tmp_path / "x.csv", YES_NO)).model_copy(update={"watch": ("general", "mood")})
    with pytest.raises(DataError, match=r"found mood. A task of the recipe is watched with watch = true"):
        load_sequence(sequence)


def test_a_run_of_watched_tasks_only_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a task to learn, found only watched ones"):
        load_run_tasks(config(file=put(tmp_path / "x.csv", YES_NO), watch=True), None)


def test_a_watched_task_has_rows_to_test_with_only(tmp_path: Path) -> None:
    path, other = put(tmp_path / "x.json", YES_NO), put(tmp_path / "y.csv", YES_NO[:7])
    for own, count in (({"file": path}, 40), ({"file": path, "test": 10}, 10), ({"test": other}, 7)):
        task = load(watch=True, labels="auto", **own)
        assert (task.train, len(task.test), task.watched) == ((), count, True)
        assert set(task.labels) == {"yes", "no"}


def test_a_split_of_too_few_rows_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "x.json", YES_NO[:3])
    assert problem(file=path, test=3) == (
        f"task mine: {path} cannot be split for a test of 3: expected fewer rows to test with than there "
        "are, found 3 of 3"
    )


def test_limits_are_drawn_by_label_and_said(tmp_path: Path) -> None:
    rows = sorted(YES_NO, key=lambda row: row["label"])
    notices: list[str] = []
    sequence = config(
        file=put(tmp_path / "x.json", rows), labels="auto", test=8, train_examples=10, test_examples=4, draw=3
    )
    (task,) = load_sequence(sequence, notify=notices.append)
    assert Counter(e.answer for e in task.train) == {"yes": 5, "no": 5}
    assert Counter(e.answer for e in task.test) == {"yes": 2, "no": 2}
    assert notices[-1] == (
        "mine: 10 of 32 training examples and 4 of 8 test examples, drawn by seed 3 and by label"
    )


def test_draw_is_the_seed_of_split_and_order(tmp_path: Path) -> None:
    path = put(tmp_path / "x.json", YES_NO)
    first, again, other = load(file=path), load(file=path, draw=0), load(file=path, draw=1)
    assert first == again
    assert set(first.test) != set(other.test)


def test_duplicates_are_on_one_side(tmp_path: Path) -> None:
    rows = [{"text": f"{'  ' * n}Text  {n // 4}", "label": "yes"} for n in range(40)]
    task = load(file=put(tmp_path / "x.json", rows), test=0.5)
    sides = [{" ".join(e.input.split()) for e in side} for side in (task.train, task.test)]
    assert (len(task.train), len(task.test)) == (20, 20)
    assert not sides[0] & sides[1]


def test_a_changed_file_changes_the_fingerprint(tmp_path: Path) -> None:
    path = put(tmp_path / "x.json", YES_NO)
    before = data_fingerprint([load(file=path)])
    put(tmp_path / "x.json", [*YES_NO[:-1], {"text": "another", "label": "yes"}])
    assert data_fingerprint([load(file=path)]) != before


# --- data sets of the hub


@pytest.fixture
def data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A data set in a folder, which `datasets` loads like one of the hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "set"
    folder.mkdir()
    put(folder / "train.csv", YES_NO)
    put(folder / "test.csv", YES_NO[:6])
    return f"hf:{folder}"


@pytest.mark.slow
def test_a_data_set_is_read_by_split(data_set: str) -> None:
    assert {len(load(file=data_set, labels="auto").train), len(load(file=data_set, test=data_set).test)} == {
        32,
        6,
    }
    assert len(load(file=f"{data_set}#test", test=2).train) == 4
    assert f'{data_set}#dev: expected a split "dev", found "train" or "test"' in problem(
        file=f"{data_set}#dev"
    )


@pytest.mark.slow
def test_numbered_labels_of_a_data_set_get_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    rows = [{"text": row["text"], "label": int(row["label"] == "yes")} for row in YES_NO]
    made = datasets.DatasetDict({"train": datasets.Dataset.from_list(rows, features=features)})
    monkeypatch.setattr(datasets, "load_dataset", lambda name, config: made)
    task = load(file="hf:some/set", labels="auto")
    assert set(task.labels) == {"yes", "no"}
    assert Example("text 1", "yes") in {*task.train, *task.test}


@pytest.mark.slow
def test_a_data_set_that_is_nowhere_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets

    def offline(name: str, config: str | None) -> None:
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    assert problem(file="hf:some/set:config") == (
        "task mine: hf:some/set:config: the data set could not be loaded (ConnectionError: Couldn't reach "
        "the Hub). Check its name, and go online once: it is read from the cache then. Or download its files "
        "and name one of them instead."
    )
