"""The plan of a run: what it would do, counted without loading the backbone."""

import math
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sapo_lite.adapters import ADAPTERS, Lesson
from sapo_lite.chat import user_turn
from sapo_lite.recipe import Recipe
from sapo_lite.strategies import strategy_of
from sapo_lite.tables import spaced, titled
from sapo_lite.training import optimiser_steps
from sapo_lite.types import Task


def plan(recipe: Recipe, tasks: Sequence[Task]) -> RenderableType:
    """Settings, counts by task, and the first training example as the model would read it."""
    table = Table(box=None, pad_edge=False)
    for heading in ("task", "train", "test", "candidates", "forwards", "steps", "answers"):
        table.add_column(heading, justify="left" if heading == "task" else "right")
    for row in _rows(recipe, tasks):
        table.add_row(*row)
    example = tasks[0]
    settings = (
        f"{recipe.prompt.strategy} on {recipe.adapter.method}; model {recipe.model.name}, "
        f"{recipe.model.quantization}, {recipe.model.dtype}, through {recipe.model.loader}"
    )
    if recipe.rewrite.enabled:
        settings += f"; answers rewritten ({recipe.rewrite.policy}, {recipe.rewrite.rollouts} rollouts a row)"
    first = example.train[0]
    rendered = [
        Text(f"first training example of {example.short_id}, as a user turn:", style="bold"),
        Text(user_turn(example, example.instruction, first.input)),
        Text("its answer:", style="bold"),
        Text(first.answer),
    ]
    return Group(*spaced([Text(settings), titled(f"plan of {recipe.name}", table), Group(*rendered)]))


def _rows(recipe: Recipe, tasks: Sequence[Task]) -> Iterator[tuple[str, ...]]:
    """A row for each task, and one for all where they are learned together."""
    method = ADAPTERS[recipe.adapter.method]
    lessons, past = method.lessons(tasks), 0
    for task in tasks:
        lesson = next((lesson for lesson in lessons if task in lesson), ())
        rows = len(task.train) if lesson else 0
        old = method.rehearsed(recipe.adapter, past, rows) if rows else 0
        past += rows
        pool = pool_size(recipe, task) if lesson else 1
        forwards = scored(recipe, rows, pool) + scored_meanwhile(recipe, rows, pool)
        paraphrased = recipe.wants_candidates and task.instruction.strip()
        yield (
            task.short_id + (" (dev)" if task.train_split == "dev" else ""),
            f"{rows}+{old}" if old else str(rows),
            *map(str, (len(task.test), pool, forwards)),
            str(optimiser_steps(rows + old, recipe.training)) if len(lesson) < 2 else "",
            f"{'up to ' if paraphrased else ''}{len(task.test) * _tests(recipe, lessons, task)}",
        )
    if len(lessons) == 1 < len(tasks):
        yield ("all together", str(past), "", "", "", str(optimiser_steps(past, recipe.training)), "")


def pool_size(recipe: Recipe, task: Task) -> int:
    """How many candidates the strategy has to choose from: at least the original instruction."""
    return 1 + recipe.paraphrase.count * _may_choose(recipe, task)


def _may_choose(recipe: Recipe, task: Task) -> bool:
    """Whether the strategy has candidates of the task to choose from."""
    needed = strategy_of(recipe.prompt).needs_candidates and recipe.paraphrase.count > 0
    return needed and bool(task.instruction.strip())


def scored(recipe: Recipe, rows: int, pool: int) -> int:
    """Rows under candidates that are scored before a task of `rows` is trained, at most."""
    wanted = strategy_of(recipe.prompt).needs_scores and pool > 1
    return _all_scored(recipe, rows, pool) if wanted else 0


def scored_meanwhile(recipe: Recipe, rows: int, pool: int) -> int:
    """The same while it is trained: of rescoring and of adversarial sampling."""
    if pool < 2:
        return 0
    prompt, training, forwards = recipe.prompt, recipe.training, 0
    if prompt.rescore == "epoch":
        forwards += (training.epochs - 1) * _all_scored(recipe, rows, pool)
    if prompt.sampling == "adversarial":
        holds = math.ceil(optimiser_steps(rows, training) / prompt.hold)
        forwards += holds * min(prompt.draws, pool) * training.batch_size
    return forwards


def _all_scored(recipe: Recipe, rows: int, pool: int) -> int:
    return pool * min(recipe.scoring.score_examples, rows)


def _tests(recipe: Recipe, lessons: Sequence[Lesson], task: Task) -> int:
    """How many times, at most, a run answers all test examples of a task."""
    stages = 1 + len(lessons)
    if not task.instruction.strip():
        return stages  # under its one wording
    untaught = next((n for n, lesson in enumerate(lessons, start=1) if task in lesson), stages)
    kinds, held_out = set(recipe.evaluation.kinds), recipe.paraphrase.held_out
    # Every stage tests once, once more under a wording chosen for a task that is learned, and once more
    # under wordings held out, each for its share. The report at the end takes these one by one.
    return (
        stages
        + (stages - untaught) * (_may_choose(recipe, task) and {"chosen", "original"} <= kinds)
        + stages * ("unseen" in kinds)
        + min(recipe.evaluation.robustness, held_out)
    )
