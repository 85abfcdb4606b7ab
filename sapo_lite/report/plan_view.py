"""The plans of a run and of a comparison, as tables."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from sapo_lite.compare.folders import STATES
from sapo_lite.compare.grid import Cell
from sapo_lite.compare.plan import Plan
from sapo_lite.data.watch_sets import HARNESS
from sapo_lite.model.chat import user_turn
from sapo_lite.recipe import Recipe, released_switches
from sapo_lite.report.number_table import NumberTable
from sapo_lite.report.tables import spaced
from sapo_lite.run.workplan import RunPlan, Work, candidates, plan_of
from sapo_lite.support.foreign_text import visible
from sapo_lite.support.messages import many
from sapo_lite.types import Task, learned_tasks


def plan(recipe: Recipe, tasks: Sequence[Task]) -> RenderableType:
    """Plan of a run: settings, counts by task, and the prompt and answer of the first training example."""
    planned = plan_of(recipe, tasks)
    table = _table(recipe, tasks, planned)
    example = learned_tasks(tasks)[0]
    settings = (
        f"{recipe.prompt.strategy} on {recipe.adapter.method}; model {recipe.model.name}, "
        f"{recipe.model.quantization}, {recipe.model.dtype}, loader {recipe.model.loader}"
    )
    if recipe.rewrite.enabled:
        settings += f"; answers rewritten ({recipe.rewrite.policy}, {recipe.rewrite.rollouts} rollouts a row)"
    first = example.train[0]
    rendered = [
        Text(f"first training example of {example.name}, as a user turn:", style="bold"),
        Text(visible(user_turn(example, example.instruction, first.input))),
        Text("its answer:", style="bold"),
        Text(visible(first.answer)),
    ]
    notes = [Text(text) for text in _not_in_the_table(recipe, planned)]
    if switches := released_switches(recipe):
        notes.append(Text(f"as in the released code (docs/faithful.md): {', '.join(switches)}"))
    notes += [Text(f"note: {notice}", style="bold") for notice in recipe.notices]
    if prompts := planned.total.prompts:
        asked = f"{many(prompts, 'paraphrase')} to make; of fewer, less is scored and tested"
        notes.insert(0, Text(asked))
    return Group(*spaced([Text(settings), table, *notes, Group(*rendered)]))


def _not_in_the_table(recipe: Recipe, planned: RunPlan) -> Iterator[str]:
    """Sentences on work that the table does not show."""
    if choices := planned.total.choices:
        yield f"watch sets: {choices:,} choices to score, over all stages"
    if gradients := planned.total.gradients:
        yield f"gradients before training: {many(gradients, 'row')}, over all stages"
    if harness := [name for name in recipe.sequence.watch if name.startswith(HARNESS)]:
        yield f"not counted: {', '.join(harness)}, tested at every stage"
    if recipe.guard.max_drop is not None and recipe.guard.on == "retry":
        yield "not counted: a stage after which a task dropped too far is learned again, up to two times"


def _table(recipe: Recipe, tasks: Sequence[Task], planned: RunPlan) -> NumberTable:
    """A row for each task, and their sums. Optimiser steps that tasks share are only in the sums."""
    total, epochs = planned.total, recipe.training.epochs
    headings = ["task", "train", "test", "candidates", "forwards", "steps", "answers"]
    if total.rollouts:
        headings.append("rollouts")

    def row(name: str, tests: int, pool: str, work: Work) -> list[str]:
        new, old = (work.rows - work.replayed) // epochs, work.replayed // epochs
        trained = f"{new:,}+{old:,}" if old else f"{new:,}"
        steps = f"{work.steps:,}" if work.steps or not work.rows else ""
        cells = [name, trained, f"{tests:,}", pool, str(work.forwards), steps, str(work.answers)]
        return [*cells, f"{work.rollouts:,}"][: len(headings)]

    rows = []
    for task in tasks:
        name = f"{task.name} (dev)" if task.train_split == "dev" else task.name
        name, pool = (f"{name} (watched)", "") if task.watched else (name, str(candidates(recipe, task)))
        rows.append(row(name, len(task.test), pool, planned.of_task(task)))
    if len(tasks) > 1:
        rows.append(row("in all", sum(len(task.test) for task in tasks), "", total))
    return NumberTable(f"plan of {recipe.name}", headings, rows)


def comparison_plan(plan: Plan) -> RenderableType:
    """Plan of a comparison: for each strategy and adapter, the seeds by state, and the work left."""
    rows, total = list[list[str | Text]](), Work()
    for strategy, adapter in dict.fromkeys((cell.strategy, cell.adapter) for cell in plan.folders):
        cells = [cell for cell in plan.folders if (cell.strategy, cell.adapter) == (strategy, adapter)]
        work = sum((plan.work(cell) for cell in cells if cell in plan.unfinished), Work())
        seeds = [_seeds(plan, cells, state) for state in STATES]
        rows.append([strategy, adapter, *seeds, *_amounts(work)])
        total += work
    rows.append([Text(cell, style="bold") for cell in ("in all", "", "", "", "", *_amounts(total))])
    notes = list(plan.grid.notices)
    notes += [f"{cell.name} is {path}" for cell, path in plan.reused.items()]
    notes += plan.notes
    notes.append(
        "at most: a race ends early, and a chosen prompt may be the original; what equal runs have in common "
        "is counted once"
    )
    title = f"{plan.grid.name}: {many(len(plan.folders), 'run')}, by seeds, in {plan.out}"
    headings = ["strategy", "adapter", "finished", "begun", "to run", "forwards", "steps", "answers"]
    table = NumberTable(title, headings, rows, texts=5, fold=True)
    return Group(table, Text(), *map(Text, notes))


def _seeds(plan: Plan, cells: Sequence[Cell], state: str) -> str:
    return ", ".join(str(cell.seed) for cell in cells if plan.folders[cell].state == state) or "-"


def _amounts(work: Work) -> list[str]:
    return [f"{count:,}" for count in (work.forwards.most, work.steps, work.answers.most)]
