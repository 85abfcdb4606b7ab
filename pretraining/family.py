"""A family of pretraining tasks, and the table of all families."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from sapo_lite.lab.grammar import Phrasing


@dataclass(frozen=True)
class Sample:
    """An input of a family and its answer.

    `slots` fill the core phrases: {"kind": "fruit"} for "find the {kind}".
    """

    input: str
    answer: str
    slots: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """A kind of small task: how to draw its examples, and the phrases of its instruction."""

    name: str
    phrasing: Phrasing
    draw: Callable[[Random], Sample]


FAMILIES: dict[str, Family] = {}


def family(phrasing: Phrasing) -> Callable[[Callable[[Random], Sample]], Callable[[Random], Sample]]:
    """Enter the decorated function in `FAMILIES`, under its own name."""

    def enter(draw: Callable[[Random], Sample]) -> Callable[[Random], Sample]:
        if draw.__name__ in FAMILIES:
            raise ValueError(f"two pretraining families are called {draw.__name__!r}: rename one")
        FAMILIES[draw.__name__] = Family(draw.__name__, phrasing, draw)
        return draw

    return enter
