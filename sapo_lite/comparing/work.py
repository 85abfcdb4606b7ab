"""How much work a run is, counted without a model."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sapo_lite.adapters import ADAPTERS
from sapo_lite.recipe import Recipe
from sapo_lite.strategies import STRATEGIES
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
    strategy = STRATEGIES[recipe.prompt.strategy]
    work = Work(answers=0 if "zero-shot" in copied else _answers(recipe, tasks, []))
    learned: list[Task] = []
    for number, lesson in enumerate(ADAPTERS[recipe.adapter.method].lessons(tasks), start=1):
        learned += lesson
        if number == 1 and "first stage" in copied:
            continue
        scores = strategy.needs_scores and not (number == 1 and "losses" in copied)
        rows = sum(len(task.train) for task in lesson)
        work += Work(
            sum(_forwards(recipe, task) for task in lesson) if scores else 0,
            optimiser_steps(rows, recipe.training),
            rows * recipe.training.epochs,
            _answers(recipe, tasks, learned),
        )
    return work


def _forwards(recipe: Recipe, task: Task) -> int:
    # A task without an instruction has nothing to paraphrase.
    pool = 1 + recipe.paraphrase.count * bool(task.instruction.strip())
    return pool * min(recipe.scoring.score_examples, len(task.train)) if pool > 1 else 0


def _answers(recipe: Recipe, tasks: Sequence[Task], learned: Sequence[Task]) -> int:
    """Of one stage. Only learned tasks can have a chosen wording besides their original one."""
    kinds = set(recipe.evaluation.kinds)
    chooses = STRATEGIES[recipe.prompt.strategy].needs_candidates and {"chosen", "original"} <= kinds
    wordings = len(kinds - {"chosen"} or kinds)
    return sum(len(task.test) * (wordings + (chooses and task in learned)) for task in tasks)
