"""A run of tasks from the recipe's tables, on the embedded backbone."""

from pathlib import Path

import pytest

from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import RunFolderError
from sapo_lite.recipe import load_recipe
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.inputs import bind
from sapo_lite.run.start import finished_results, run_recipe
from shop import RECIPE, write_shop
from small import quick_collections

SMALL = (
    "sequence.tasks=['reviews','tickets']",
    "sequence.train_examples=8",
    "sequence.test_examples=4",
    "training.epochs=1",
    "training.batch_size=8",
    "scoring.score_examples=4",
    "evaluation.max_new_tokens=4",
    "model.max_answer_tokens=4",
)


def test_a_run_folder_is_bound_to_the_files_of_its_tasks(tmp_path: Path) -> None:
    path = write_shop(tmp_path)
    recipe = load_recipe(path)
    with RunFolder(tmp_path / "run") as folder:
        bind(folder, recipe, load_sequence(recipe.sequence))
        bind(folder, recipe, load_sequence(recipe.sequence))
        tickets = tmp_path / "tickets.csv"
        tickets.write_text(tickets.read_text("utf-8").replace("invoice 7", "invoice 99"), encoding="utf-8")
        with pytest.raises(RunFolderError, match="the data of tickets has changed"):
            bind(folder, recipe, load_sequence(recipe.sequence))


def test_a_run_folder_is_bound_to_the_tables_of_its_recipe(tmp_path: Path) -> None:
    recipe = load_recipe(write_shop(tmp_path))
    other = load_recipe(
        write_shop(tmp_path, RECIPE.replace('labels = "auto"', 'labels = "auto"\nmetric = "rougeL"'))
    )
    with RunFolder(tmp_path / "run") as folder:
        bind(folder, recipe, load_sequence(recipe.sequence))
        with pytest.raises(
            RunFolderError, match=r'task\[1\].metric: nothing in the run, "rougeL" in the recipe'
        ):
            bind(folder, other, load_sequence(other.sequence))


@pytest.mark.slow
def test_tasks_of_the_recipe_are_learned_and_a_finished_run_knows_its_files(tmp_path: Path) -> None:
    quick_collections()
    recipe = load_recipe(write_shop(tmp_path), SMALL)
    with pytest.warns(UserWarning, match=r"reviews: 8 of 30 training examples and 4 of 10 test examples"):
        results = run_recipe(recipe, tmp_path / "run")
    assert results.tasks == ["reviews", "tickets"]
    assert finished_results(recipe, tmp_path / "run") == results
    reviews = tmp_path / "reviews.jsonl"
    reviews.write_text(reviews.read_text("utf-8").replace("It was", "This was"), encoding="utf-8")
    with pytest.raises(RunFolderError, match="the data of reviews has changed"):
        finished_results(recipe, tmp_path / "run")
