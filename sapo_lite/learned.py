"""What became of one task."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sapo_lite.choice import Choice
from sapo_lite.rewriting import Rewriting
from sapo_lite.types import Part
from sapo_lite.wordings import Rescored, Rescoring, frozen


@dataclass(frozen=True)
class Learned:
    """What a task was trained on, the choice that led to it, and what became of answers and of wordings."""

    part: Part
    choice: Choice
    rewriting: Rewriting | None = None
    rescorings: Sequence[Rescoring] = ()

    @property
    def afterwards(self) -> "Learned":
        """As it is once the task is learned: to be tested, and rehearsed, with what it ended with."""
        part, wordings = frozen(self.part), self.part.wordings
        if isinstance(wordings, Rescored):
            choice = replace(self.choice, chosen=wordings.ended_with)
            return replace(self, part=part, choice=choice, rescorings=wordings.rescorings)
        return replace(self, part=part)
