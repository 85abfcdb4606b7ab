"""`sapo-lite new`: a recipe for one's own files that runs as it is, and commands that read it."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sapo_lite.cli import new_command
from sapo_lite.data.tasks import load_sequence
from sapo_lite.recipe import load_recipe
from shop import write_shop

FILES = ("tickets.csv", "reviews.jsonl", "questions.json")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three files."""
    write_shop(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_three_files_become_a_recipe_that_loads(shop: Path, typed: Any) -> None:
    done = typed("new", "my.toml", *FILES, "--model", "lab")
    assert done.returncode == 0, done.stderr
    assert "labels: billing, returns, shipping" in done.stdout
    assert "free text" in done.stdout
    assert "my.toml: read it, then run it with `sapo-lite run my.toml`" in done.stderr
    recipe = load_recipe("my.toml")
    assert [task.metric for task in load_sequence(recipe.sequence)] == ["accuracy", "accuracy", "rougeL"]
    assert (recipe.model.name, recipe.paraphrase.backend) == ("lab", ("builtin",))
    text = (shop / "my.toml").read_text(encoding="utf-8")
    assert "# a guess: say what you want; it is paraphrased" in text
    assert "# billing, returns, shipping" in text


def test_paths_in_the_recipe_are_relative_to_it(shop: Path, typed: Any) -> None:
    (shop / "recipes").mkdir()
    assert typed("new", "recipes/my.toml", shop / "tickets.csv", "--model", "lab").returncode == 0
    written = tomllib.loads((shop / "recipes/my.toml").read_text(encoding="utf-8"))
    assert written["sequence"]["task"][0]["file"] == "../tickets.csv"


def test_the_recipe_dry_runs_and_is_compared_and_paraphrased(shop: Path, typed: Any) -> None:
    assert typed("new", "my.toml", *FILES, "--model", "lab").returncode == 0
    plan = typed("run", "my.toml", "--dry-run")
    assert (plan.returncode, "plan of my" in plan.stdout, "tickets" in plan.stdout) == (0, True, True)
    compared = typed(
        "compare", "my.toml", "--strategies", "fixed,sapo", "--seeds", "2", "--draw", "--dry-run"
    )
    assert (compared.returncode, "my: 4 runs" in compared.stdout) == (0, True), compared.stderr
    reworded = typed("paraphrase", "my.toml", "-n", "2", "--plain")
    assert (reworded.returncode, reworded.stdout.count("# ")) == (0, 3), reworded.stderr


def test_an_existing_file_is_not_overwritten(shop: Path, typed: Any) -> None:
    done = typed("new", "shop.toml", "tickets.csv")
    assert (done.returncode, done.stderr) == (
        1,
        "error: shop.toml exists. Choose another name, or delete it first.\n",
    )


def test_nothing_is_written_for_files_that_make_no_task(shop: Path, typed: Any) -> None:
    (shop / "one.json").write_text(json.dumps([{"text": "a", "label": "b"}]), encoding="utf-8")
    for file, message in (
        ("one.json", "cannot be split"),
        ("nowhere.csv", "cannot be read"),
        ("x.docx", "expected"),
    ):
        done = typed("new", "my.toml", file, "--model", "lab")
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
        assert not (shop / "my.toml").exists()


def test_a_recipe_has_another_name_than_its_files(shop: Path, typed: Any) -> None:
    done = typed("new", "tickets.csv", "reviews.jsonl")
    assert (done.returncode, "expected the name of a .toml file" in done.stderr) == (1, True)


@pytest.mark.parametrize(("here", "backend"), [(None, "builtin"), ("qwen3:4b", "ollama")])
def test_the_paraphraser_is_one_that_is_here(
    shop: Path, typed: Any, monkeypatch: pytest.MonkeyPatch, here: str | None, backend: str
) -> None:
    monkeypatch.setattr(new_command, "_paraphraser", lambda: here)
    assert typed("new", "my.toml", *FILES).returncode == 0
    recipe = load_recipe("my.toml")
    assert (recipe.model.name, recipe.model.quantization) == (new_command.MODEL, "nf4")
    assert (recipe.paraphrase.backend, recipe.paraphrase.model) == ((backend,), here)


def test_without_a_server_no_model_paraphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    assert new_command._paraphraser() is None


def test_the_document_shows_how(shop: Path, typed: Any) -> None:
    document = (Path(__file__).resolve().parents[2] / "docs/data.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```toml\n(\[\[sequence\.task\]\].*?)```", document, flags=re.DOTALL)
    (shop / "d.toml").write_text(
        f'[model]\nname = "lab"\n{recipe}[paraphrase]\nbackend = "builtin"\n', encoding="utf-8"
    )
    (task,) = load_sequence(load_recipe("d.toml").sequence)
    assert (len(task.train), len(task.test), task.metric) == (48, 12, "accuracy")
