"""Generated pages and schemas are those of the program, and commands end with examples."""

import json
import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer

from made_runs import made_run, two_tasks
from sapo_lite.cli import app
from sapo_lite.recipe import shipped_recipes
from sapo_lite.recipe.schema import recipe_schema
from small import ROOT

GENERATED: dict[str, str] = runpy.run_path(str(ROOT / "scripts/reference.py"))["generated"]()


@pytest.mark.parametrize("name", list(GENERATED))
def test_a_generated_file_is_up_to_date(name: str) -> None:
    """If it is not: `python scripts/reference.py`."""
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == GENERATED[name]


def faults(content: Any) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(recipe_schema()).iter_errors(content)]


@pytest.mark.parametrize("path", shipped_recipes(), ids=lambda path: path.stem)
def test_every_shipped_recipe_is_valid_by_the_schema(path: Path) -> None:
    assert faults(tomllib.loads(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("recipe", "fault"),
    [
        ('[model]\nname = "lab"\nnmae = 1', "'nmae' was unexpected"),
        ('[model]\nname = "lab"\n[prompt]\nstrategy = "sapo2"', "'sapo2' is not one of"),
        ('[model]\nname = "lab"\n[training]\nepochs = 0', "0 is less than the minimum of 1"),
        ('[model]\nname = "lab"\n[paraphrase]\nbackend = 5', "5 is not valid under any of the given schemas"),
        ('seed = 1\n[sequence]\nsuite = "lab"', "'model' is a required property"),
    ],
)
def test_the_schema_finds_faults_of_a_recipe(recipe: str, fault: str) -> None:
    assert any(
        fault in found
        for found in faults(tomllib.loads(recipe + "\n[sequence]" * ("sequence" not in recipe)))
    )


def test_own_tasks_and_short_forms_are_valid_by_the_schema() -> None:
    own = """
        [model]
        name = "lab"
        [paraphrase]
        backend = "builtin"
        [[sequence.task]]
        name = "tickets"
        file = "tickets.csv"
        test = 0.2
        instruction = "Say the topic."
        labels = "auto"
        """
    assert faults(tomllib.loads(own)) == []


def test_results_are_valid_by_their_schema(tmp_path: Path) -> None:
    schema = json.loads(GENERATED["schema/results.schema.json"])
    content = json.loads((made_run(tmp_path / "run", two_tasks(50.0)) / "results.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    assert list(validator.iter_errors(content)) == []
    assert [error.message for error in validator.iter_errors({**content, "seed": "0"})] == [
        "'0' is not of type 'integer'"
    ]
    assert list(validator.iter_errors({**content, "new": 1}))


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        inner = hasattr(command, "commands")
        if not inner or command.invoke_without_command:
            yield f"{before}{name}", command
        if inner:
            yield from commands(command, f"{before}{name} ")


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_help_of_a_command_ends_with_two_examples_of_it(name: str) -> None:
    heading, *examples = (COMMANDS[name].epilog or "").split("\n\n")
    assert heading == "Examples:"
    assert len(examples) >= 2
    options = {option for param in COMMANDS[name].params for option in (*param.opts, *param.secondary_opts)}
    for example in examples:
        words = shlex.split(example, comments=True)
        assert words[: 1 + len(name.split())] == ["sapo-lite", *name.split()]
        assert {word for word in words if word.startswith("--")} <= options


def documented() -> Iterator[tuple[str, str]]:
    """(page, line) of every command of sapo-lite in a block of the documents."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for block in re.findall(r"```(?:sh|bash)?\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines()
            yield from ((path.name, line.strip()) for line in lines if line.strip().startswith("sapo-lite "))


@pytest.mark.parametrize("page", sorted({page for page, _ in documented()}))
def test_commands_in_a_document_have_options_that_there_are(page: str) -> None:
    for line in (line for name, line in documented() if name == page):
        words = shlex.split(re.split(r"[|>]| &&", line)[0], comments=True)[1:]
        if words[0].startswith("-"):  # of sapo-lite itself
            continue
        name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
        assert name in COMMANDS, line
        params = COMMANDS[name].params
        options = {option for param in params for option in (*param.opts, *param.secondary_opts)}
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= options, line


@pytest.mark.parametrize("name", list(COMMANDS))
def test_help_texts_are_whole_phrases(name: str) -> None:
    for param in COMMANDS[name].params:
        text = getattr(param, "help", "") or ""
        assert text[:1].isupper(), f"{name} {param.name}: {text}"
        assert text.endswith("."), f"{name} {param.name}: {text}"
