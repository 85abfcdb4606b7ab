"""What a held-out task is, and the list that they are all entered in."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from sapo_lite.lab.grammar import Phrasing
from sapo_lite.types import Example


@dataclass(frozen=True)
class LabTask:
    """How to draw examples of a task, and how to ask for it."""

    phrasing: Phrasing
    generate: Callable[[Random], Example]

    @property
    def labels(self) -> tuple[str, ...]:
        """All possible answers, or none where the answer is free."""
        return self.phrasing.labels


TASKS: dict[str, LabTask] = {}


def task(phrasing: Phrasing) -> Callable[[Callable[[Random], Example]], Callable[[Random], Example]]:
    """Enter the decorated function in `TASKS`, under its own name."""

    def enter(generate: Callable[[Random], Example]) -> Callable[[Random], Example]:
        TASKS[generate.__name__] = LabTask(phrasing, generate)
        return generate

    return enter
