"""A held-out task, and the table of all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from sapo_lite.lab.grammar import Phrasing
from sapo_lite.types import Example


@dataclass(frozen=True)
class LabTask:
    """A task: how to draw its examples, and the phrases of its instruction."""

    phrasing: Phrasing
    generate: Callable[[Random], Example]

    @property
    def labels(self) -> tuple[str, ...]:
        """All possible answers; empty for a free answer."""
        return self.phrasing.labels


TASKS: dict[str, LabTask] = {}


def task(phrasing: Phrasing) -> Callable[[Callable[[Random], Example]], Callable[[Random], Example]]:
    """Enter the decorated function in `TASKS`, under its own name."""

    def enter(generate: Callable[[Random], Example]) -> Callable[[Random], Example]:
        TASKS[generate.__name__] = LabTask(phrasing, generate)
        return generate

    return enter
