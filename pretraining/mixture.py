"""The examples of pretraining: a sample of a family, and one of its many instructions."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from pretraining.family import Family, Sample
from sapo_lite.lab.grammar import REGISTERS, Phrasing, hint, wrapped

# Frequencies of the registers, and of a hint, with labels and without.
REGISTER_SHARES = (0.62, 0.31, 0.07)
HINTED, HINTED_FREE = 0.6, 0.15
# How often a small set of labels is replaced by other words, which the instruction then defines.
RENAMED, RENAMED_AT_MOST = 0.12, 3
NEW_LABELS = (
    "good bad left right up down in out one two x y red blue hot cold top bottom true false pass fail "
    "plus minus big small day night P Q R S T U"
).split()

SUFFIXES = ("answer :", "answer :", "answer :", "", "your answer :", "output :")


@dataclass(frozen=True)
class PretrainExample:
    """A model's prompt (instruction, input, suffix) and its answer."""

    family: str
    instruction: str
    input: str
    suffix: str
    answer: str


def pretrain_example(family: Family, rng: Random) -> PretrainExample:
    """Draw a sample of the family and an instruction for it."""
    return pretrain_examples(family, rng, 1)[0]


def pretrain_examples(family: Family, rng: Random, count: int) -> list[PretrainExample]:
    """Draw an instruction and `count` samples for it, or fewer if it fits few."""
    samples = _alike(family, rng, count)
    phrasing = family.phrasing
    register = rng.choices(REGISTERS, REGISTER_SHARES)[0]
    instruction = wrapped(_core(phrasing, rng).format(**samples[0].slots), phrasing.noun, register, rng)
    names = {sample.answer: sample.answer for sample in samples}
    if 0 < len(phrasing.labels) <= RENAMED_AT_MOST and rng.random() < RENAMED:
        names = dict(zip(phrasing.labels, rng.sample(NEW_LABELS, len(phrasing.labels)), strict=True))
        instruction += " " + _rename(names, rng)
    elif rng.random() < (HINTED if phrasing.labels else HINTED_FREE):
        instruction += " " + hint(phrasing.labels, rng)
    suffix = rng.choice(SUFFIXES)
    return [PretrainExample(family.name, instruction, s.input, suffix, names[s.answer]) for s in samples]


def _alike(family: Family, rng: Random, count: int, tries: int = 30) -> list[Sample]:
    """Up to `count` samples that fill the slots of an instruction with the same words."""
    samples = [family.draw(rng)]
    for _ in range(tries if count > 1 else 0):
        another = family.draw(rng)
        if another.slots == samples[0].slots:
            samples.append(another)
        if len(samples) == count:
            break
    return samples


def _core(phrasing: Phrasing, rng: Random) -> str:
    """A core phrase; phrases early in the list are drawn more often."""
    return phrasing.cores[min(rng.randrange(len(phrasing.cores)) for _ in range(2))]


def _rename(names: dict[str, str], rng: Random) -> str:
    """`write up for yes , down for no .`"""
    pairs: Sequence[str] = [f"{new} for {old}" for old, new in names.items()]
    return f"{rng.choice(['answer', 'write', 'say'])} {' , '.join(pairs)} ."
