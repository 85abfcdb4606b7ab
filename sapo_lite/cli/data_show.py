"""`sapo-lite data show`."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sapo_lite.cli.options import Data, Offline, Settings
from sapo_lite.cli.terminal import wide_console
from sapo_lite.errors import BackboneError, DataError

if TYPE_CHECKING:
    from sapo_lite.recipe import ModelConfig
    from sapo_lite.types import Example, Task

_Recipe = Annotated[str, typer.Argument(help="A path to a TOML file, or the name of a shipped recipe.")]
_Task = Annotated[str | None, typer.Argument(help="One of its tasks.", show_default="all")]
_Rows = Annotated[int, typer.Option("-n", "--rows", min=1, help="Number of rows of each task.")]
_Split = Annotated[Literal["train", "test"] | None, typer.Option(help="Rows to show.", show_default="train")]


def show(
    recipe: _Recipe,
    task: _Task = None,
    rows: _Rows = 2,
    split: _Split = None,
    settings: Settings = None,
    data: Data = None,
    offline: Offline = False,
) -> None:
    """Print rows of a recipe's tasks as the model will read them, cut where the recipe cuts."""
    from sapo_lite.data.tasks import load_sequence
    from sapo_lite.recipe import load_recipe
    from sapo_lite.report.rows_view import rows_view

    loaded = load_recipe(recipe, settings or [])
    notices: list[str] = []
    tasks = _chosen(load_sequence(loaded.sequence, data, notices.append), task)
    console = wide_console(sys.stdout)
    for one in tasks:
        part = split or ("train" if one.train else "test")
        examples: Sequence[Example] = getattr(one, part)
        first = list(examples[:rows])
        console.print(rows_view(one, part, len(examples), first, _read(loaded.model, one, first, notices)))
    for notice in dict.fromkeys(notices):
        console.print(f"note: {notice}")


def _chosen(tasks: "Sequence[Task]", wanted: str | None) -> "list[Task]":
    found = [task for task in tasks if wanted in (None, task.id, task.key)]
    if not found:
        raise DataError(f"{wanted}: expected a task of the recipe, {', '.join(task.name for task in tasks)}")
    return found


def _read(
    model: "ModelConfig", task: "Task", rows: "Sequence[Example]", notices: list[str]
) -> "list[str | None]":
    """What the model reads of the inputs, with the task's own instruction; None without its tokenizer."""
    from sapo_lite.model.tokenizer import load_chat_format

    try:
        fitted = load_chat_format(model).fit(
            replace(task, train=tuple(rows), test=tuple(rows)), [task.instruction]
        )
    except BackboneError as error:
        notices.append(f"inputs are shown in full: {error}")
        return [None] * len(rows)
    return [example.input for example in fitted.train]
