"""The plan of a run: what it would do, counted without loading the backbone."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sapo_lite.learning.methods import METHODS, TaskGroup
from sapo_lite.prompts.strategies import Sizes, strategy_of
from sapo_lite.recipe import Recipe
from sapo_lite.types import Task


def _rows(recipe: Recipe, tasks: Sequence[Task]) -> Iterator[tuple[str, ...]]:
    """A row for each task, and one for all where they are learned together."""
    method = METHODS[recipe.adapter.method]
    lessons, past = method.groups(tasks), 0
    for task in tasks:
        lesson = next((lesson for lesson in lessons if task in lesson), ())
        rows = len(task.train) if lesson else 0
        old = method.replay_count(recipe.adapter, past, rows) if rows else 0
        past += rows
        pool = pool_size(recipe, task) if lesson else 1
        forwards = scored(recipe, rows, pool) + scored_meanwhile(recipe, rows, pool)
        paraphrased = recipe.wants_candidates and task.instruction.strip()
        yield (
            task.name + (" (dev)" if task.train_split == "dev" else ""),
            f"{rows}+{old}" if old else str(rows),
            *map(str, (len(task.test), pool, forwards)),
            str(recipe.training.steps(rows + old)) if len(lesson) < 2 else "",
            f"{'up to ' if paraphrased else ''}{len(task.test) * _tests(recipe, lessons, task)}",
        )
    if len(lessons) == 1 < len(tasks):
        yield ("all together", str(past), "", "", "", str(recipe.training.steps(past)), "")


def pool_size(recipe: Recipe, task: Task) -> int:
    """How many candidates the strategy has to choose from: at least the original instruction."""
    return 1 + recipe.paraphrase.count * _may_choose(recipe, task)


def _may_choose(recipe: Recipe, task: Task) -> bool:
    """Whether the strategy has candidates of the task to choose from."""
    return recipe.needs.choice and bool(task.instruction.strip())


def scored(recipe: Recipe, rows: int, pool: int) -> int:
    """Rows under candidates that are scored before a task of `rows` is trained, at most."""
    return pool * _examples(recipe, rows) if recipe.needs.losses and pool > 1 else 0


def scored_meanwhile(recipe: Recipe, rows: int, pool: int) -> int:
    """The same while it is trained."""
    if pool < 2:
        return 0
    training = recipe.training
    sizes = Sizes(
        rows, pool, _examples(recipe, rows), training.steps(rows), training.epochs, training.batch_size
    )
    return strategy_of(recipe.prompt.model_dump()).forwards_in_training(recipe.prompt, sizes)


def _examples(recipe: Recipe, rows: int) -> int:
    """On how many examples a candidate is scored, at most."""
    return min(recipe.scoring.score_examples, rows)


def _tests(recipe: Recipe, lessons: Sequence[TaskGroup], task: Task) -> int:
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


@dataclass(frozen=True)
class Work:
    """At most: a race ends early, and wordings that come to the same are tested once.

    forwards: examples under candidates, to be scored
    steps: of the optimiser; rows: that these see
    answers: to be generated
    """

    forwards: int = 0
    steps: int = 0
    rows: int = 0
    answers: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.forwards + other.forwards,
            self.steps + other.steps,
            self.rows + other.rows,
            self.answers + other.answers,
        )

    @property
    def weight(self) -> float:
        """For a bar: in forwards. A row trained takes about 3, an answer 2, of the embedded backbone."""
        return 1.0 + self.forwards + 3 * self.rows + 2 * self.answers


def work_of(recipe: Recipe, tasks: Sequence[Task], copied: Collection[str] = ()) -> Work:
    """All work of a run, less the pieces that are copied from others (sapo_lite.compare.reuse)."""
    method, past = METHODS[recipe.adapter.method], 0
    robustness = min(recipe.evaluation.robustness, recipe.paraphrase.held_out)
    work = Work(answers=robustness * sum(len(task.test) for task in tasks))
    if "zero-shot" not in copied:
        work += Work(answers=_answers(recipe, tasks, []))
    learned: list[Task] = []
    for number, lesson in enumerate(method.groups(tasks), start=1):
        learned += lesson
        new = sum(len(task.train) for task in lesson)
        rows = new + method.replay_count(recipe.adapter, past, new)
        past += new
        if number > 1 or "first stage" not in copied:
            work += Work(
                _forwards(recipe, lesson, again=number > 1 or "losses" not in copied),
                recipe.training.steps(rows),
                rows * recipe.training.epochs,
                _answers(recipe, tasks, learned),
            )
    return work


def _forwards(recipe: Recipe, lesson: Sequence[Task], *, again: bool) -> int:
    """Of one lesson; those before training only where they are not copied."""
    sizes = [(len(task.train), pool_size(recipe, task)) for task in lesson]
    before = sum(scored(recipe, *size) for size in sizes) if again else 0
    return before + sum(scored_meanwhile(recipe, *size) for size in sizes)


def _answers(recipe: Recipe, tasks: Sequence[Task], learned: Sequence[Task]) -> int:
    """Of one stage. Only learned tasks can have a chosen wording besides their original one."""
    kinds = set(recipe.evaluation.kinds)
    chooses = recipe.needs.choice and {"chosen", "original"} <= kinds
    wordings = len(kinds - {"chosen"} or kinds)
    return sum(len(task.test) * (wordings + (chooses and task in learned)) for task in tasks)
