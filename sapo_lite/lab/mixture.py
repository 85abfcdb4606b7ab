"""The lessons of pretraining: an example of a family, and one of many ways to ask for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from sapo_lite.lab.family import Draw, Family
from sapo_lite.lab.grammar import REGISTERS, Phrasing, hint, wrapped

# How often each register comes, and how often a hint follows, with labels and without.
REGISTER_SHARES = (0.62, 0.31, 0.07)
HINTED, HINTED_FREE = 0.6, 0.15
# How often labels, where they are few, are other words than usual, and the instruction says which.
RENAMED, RENAMED_AT_MOST = 0.12, 3
NEW_LABELS = (
    "good bad left right up down in out one two x y red blue hot cold top bottom true false pass fail "
    "plus minus big small day night P Q R S T U"
).split()

SUFFIXES = ("answer :", "answer :", "answer :", "", "your answer :", "output :")


@dataclass(frozen=True)
class Lesson:
    """What a model reads (instruction, input, suffix) and must answer."""

    family: str
    instruction: str
    input: str
    suffix: str
    answer: str


def lesson(family: Family, rng: Random) -> Lesson:
    """Draw an example of the family and a wording for it."""
    return lessons(family, rng, 1)[0]


def lessons(family: Family, rng: Random, count: int) -> list[Lesson]:
    """Draw a wording and `count` examples for it, or fewer where the wording fits few."""
    draws = _alike(family, rng, count)
    phrasing = family.phrasing
    register = rng.choices(REGISTERS, REGISTER_SHARES)[0]
    instruction = wrapped(_core(phrasing, rng).format(**draws[0].slots), phrasing.noun, register, rng)
    names = {draw.answer: draw.answer for draw in draws}
    if 0 < len(phrasing.labels) <= RENAMED_AT_MOST and rng.random() < RENAMED:
        names = dict(zip(phrasing.labels, rng.sample(NEW_LABELS, len(phrasing.labels)), strict=True))
        instruction += " " + _rename(names, rng)
    elif rng.random() < (HINTED if phrasing.labels else HINTED_FREE):
        instruction += " " + hint(phrasing.labels, rng)
    suffix = rng.choice(SUFFIXES)
    return [Lesson(family.name, instruction, draw.input, suffix, names[draw.answer]) for draw in draws]


def _alike(family: Family, rng: Random, count: int, tries: int = 30) -> list[Draw]:
    """Up to `count` examples that fill the slots of an instruction alike."""
    draws = [family.draw(rng)]
    for _ in range(tries if count > 1 else 0):
        another = family.draw(rng)
        if another.slots == draws[0].slots:
            draws.append(another)
        if len(draws) == count:
            break
    return draws


def _core(phrasing: Phrasing, rng: Random) -> str:
    """A core phrase; those at the head of the list come more often."""
    return phrasing.cores[min(rng.randrange(len(phrasing.cores)) for _ in range(2))]


def _rename(names: dict[str, str], rng: Random) -> str:
    """`write up for yes , down for no .`"""
    pairs: Sequence[str] = [f"{new} for {old}" for old, new in names.items()]
    return f"{rng.choice(['answer', 'write', 'say'])} {' , '.join(pairs)} ."
