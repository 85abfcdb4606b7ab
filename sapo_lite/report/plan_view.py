"""The plan of a run, as a table."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from sapo_lite.model.chat import user_turn
from sapo_lite.recipe import Recipe
from sapo_lite.report.number_table import NumberTable
from sapo_lite.report.tables import spaced
from sapo_lite.run.workplan import _rows
from sapo_lite.types import Task


def plan(recipe: Recipe, tasks: Sequence[Task]) -> RenderableType:
    """Settings, counts by task, and the first training example as the model would read it."""
    headings = ["task", "train", "test", "candidates", "forwards", "steps", "answers"]
    table = NumberTable(f"plan of {recipe.name}", headings, list(_rows(recipe, tasks)))
    example = tasks[0]
    settings = (
        f"{recipe.prompt.strategy} on {recipe.adapter.method}; model {recipe.model.name}, "
        f"{recipe.model.quantization}, {recipe.model.dtype}, through {recipe.model.loader}"
    )
    if recipe.rewrite.enabled:
        settings += f"; answers rewritten ({recipe.rewrite.policy}, {recipe.rewrite.rollouts} rollouts a row)"
    first = example.train[0]
    rendered = [
        Text(f"first training example of {example.name}, as a user turn:", style="bold"),
        Text(user_turn(example, example.instruction, first.input)),
        Text("its answer:", style="bold"),
        Text(first.answer),
    ]
    notes = [Text(f"note: {notice}", style="yellow") for notice in recipe.notices]
    return Group(*spaced([Text(settings), table, *notes, Group(*rendered)]))
