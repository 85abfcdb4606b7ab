"""`sapo-lite data show`: rows as the model will read them."""

from pathlib import Path
from typing import Any

import pytest

from shop import write_shop


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    write_shop(tmp_path)
    monkeypatch.chdir(tmp_path)
    return "shop.toml"


def test_rows_are_shown_as_user_turns_and_answers(recipe: str, typed: Any) -> None:
    done = typed("data", "show", recipe, "-n", "1")
    assert done.returncode == 0, done.stderr
    first = done.stdout.split("reviews:")[0].splitlines()
    assert first[0].startswith("tickets: 1 of 48 train rows; metric accuracy; language en; labels ")
    assert first[1:4] == ["── row 1", "Which team should answer this ticket?", ""]
    assert first[4] == "Text:"
    assert first[7:9] == ["", "Answer with one label."]
    assert first[9] == "── answer"
    assert first[10] in ("billing", "shipping", "returns")


def test_one_task_and_the_test_split_can_be_chosen(recipe: str, typed: Any) -> None:
    done = typed("data", "show", recipe, "questions", "--split", "test", "-n", "3")
    assert done.stdout.startswith("questions: 3 of 4 test rows; metric rougeL")
    assert (done.stdout.count("── row"), "tickets: 1" in done.stdout) == (3, False)


def test_an_unknown_task_is_refused_with_those_there_are(recipe: str, typed: Any) -> None:
    done = typed("data", "show", recipe, "ticket")
    assert (done.returncode, done.stderr) == (
        2, "error: ticket: expected a task of the recipe, tickets, reviews, questions\n",
    )  # fmt: skip


def test_an_input_is_cut_where_the_recipe_cuts(recipe: str, typed: Any) -> None:
    done = typed("data", "show", recipe, "questions", "-n", "1", "--set", "model.max_source_tokens=30")
    assert "\nWhere did Ann\n── cut: 38 of 46 characters are read (model.max_source_tokens)" in done.stdout


def test_without_a_tokenizer_inputs_are_shown_in_full(recipe: str, typed: Any) -> None:
    done = typed("data", "show", recipe, "questions", "-n", "1", "--set", "model.name=/nowhere")
    assert "Where did Ann" in done.stdout
    assert "note: inputs are shown in full: No model at" in done.stdout
