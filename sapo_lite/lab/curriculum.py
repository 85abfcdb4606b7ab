"""Which lessons a step of pretraining is made of: those of weak families more often."""

from collections.abc import Sequence
from random import Random

from sapo_lite.chat import ChatFormat, Encoded
from sapo_lite.lab.family import Family
from sapo_lite.lab.mixture import Lesson, lesson
from sapo_lite.types import Task, TrainRow

# Nats per answer token: what a family starts with, and beyond which it comes no more often.
_START, _CEILING = 3.0, 1.5
_FLOOR = 0.12  # a family that is learned by heart still comes this often, beside one at `_CEILING`
_MEMORY = 0.95


class Curriculum:
    """Draws families by their running loss. A step's lessons depend on seed, step and these losses alone."""

    def __init__(self, families: dict[str, Family], seed: int) -> None:
        self._families = families
        self._seed = seed
        self.losses = dict.fromkeys(families, _START)

    def lessons(self, step: int, count: int) -> list[Lesson]:
        rng = Random(f"{self._seed}/{step}")
        weights = [_FLOOR + min(loss, _CEILING) for loss in self.losses.values()]
        return [lesson(family, rng) for family in rng.choices(list(self._families.values()), weights, k=count)]

    def note(self, lessons: Sequence[Lesson], losses: Sequence[float]) -> None:
        """Remember what the lessons cost, in nats per answer token."""
        for drawn, loss in zip(lessons, losses, strict=True):
            self.losses[drawn.family] = _MEMORY * self.losses[drawn.family] + (1 - _MEMORY) * loss

    def weakest(self, count: int) -> list[str]:
        """The families of the highest running loss."""
        return sorted(self.losses, key=self.losses.__getitem__, reverse=True)[:count]


def encode(chat: ChatFormat, lessons: Sequence[Lesson]) -> list[Encoded]:
    """Lessons as tokens, in the chat format that every run of sapo-lite uses."""
    encoded: dict[int, Encoded] = {}
    for suffix in {drawn.suffix for drawn in lessons}:
        numbers = [n for n, drawn in enumerate(lessons) if drawn.suffix == suffix]
        rows = [TrainRow(lessons[n].instruction, lessons[n].input, lessons[n].answer) for n in numbers]
        task = Task("pretraining", "lab", "", suffix, (), "en", train=(), test=())
        encoded.update(zip(numbers, chat.encode(task, rows), strict=True))
    return [encoded[n] for n in range(len(lessons))]
