"""How much work a run is, counted without a model."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sapo_lite.adapters import ADAPTERS
from sapo_lite.plan import pool_size, scored, scored_meanwhile
from sapo_lite.recipe import Recipe
from sapo_lite.strategies import strategy_of
from sapo_lite.training import optimiser_steps
from sapo_lite.types import Task


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
    """All work of a run, less the pieces that are copied from others (sapo_lite.comparing.sharing)."""
    method, past = ADAPTERS[recipe.adapter.method], 0
    robustness = min(recipe.evaluation.robustness, recipe.paraphrase.held_out)
    work = Work(answers=robustness * sum(len(task.test) for task in tasks))
    if "zero-shot" not in copied:
        work += Work(answers=_answers(recipe, tasks, []))
    learned: list[Task] = []
    for number, lesson in enumerate(method.lessons(tasks), start=1):
        learned += lesson
        new = sum(len(task.train) for task in lesson)
        rows = new + method.rehearsed(recipe.adapter, past, new)
        past += new
        if number > 1 or "first stage" not in copied:
            work += Work(
                _forwards(recipe, lesson, again=number > 1 or "losses" not in copied),
                optimiser_steps(rows, recipe.training),
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
    chooses = strategy_of(recipe.prompt).needs_candidates and {"chosen", "original"} <= kinds
    wordings = len(kinds - {"chosen"} or kinds)
    return sum(len(task.test) * (wordings + (chooses and task in learned)) for task in tasks)
