"""What became of one task."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sapo_lite.learning.rewriting import Rewriting
from sapo_lite.prompts.choice import Choice
from sapo_lite.prompts.schedules import Rescored, Rescoring, frozen
from sapo_lite.types import TrainingSet


@dataclass(frozen=True)
class TrainedTask:
    """What a task was trained on, the choice that led to it, and what became of answers and of wordings."""

    part: TrainingSet
    choice: Choice
    rewriting: Rewriting | None = None
    rescorings: Sequence[Rescoring] = ()

    @property
    def afterwards(self) -> "TrainedTask":
        """As it is once the task is learned: to be tested, and rehearsed, with what it ended with."""
        part, wordings = frozen(self.part), self.part.wordings
        if isinstance(wordings, Rescored):
            choice = replace(self.choice, chosen=wordings.ended_with)
            return replace(self, part=part, choice=choice, rescorings=wordings.rescorings)
        return replace(self, part=part)
