"""Seeded draws of examples: an order in which every beginning has all labels, and a split into two sides."""

import random
import unicodedata
from collections.abc import Hashable, Sequence

from sapo_lite.errors import DataError
from sapo_lite.support.messages import many
from sapo_lite.types import Example


def same_input(text: str) -> str:
    """The text without differences in case, white space and Unicode form: equal for duplicates."""
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).split())


def drawn(examples: Sequence[Example], limit: int, seed: str) -> tuple[Example, ...]:
    """At most `limit` examples in random order, of which every beginning has about each answer's share."""
    order = stratified_order([example.answer for example in examples], seed)
    return tuple(examples[place] for place in order[:limit])


def split(
    examples: Sequence[Example], test: float | int, seed: str, *, by_answer: bool
) -> tuple[list[Example], list[Example]]:
    """Examples to train and to test with, in the order given; those of one input are on one side.

    test: share below 1, or number, of the examples to test with; at most, where inputs repeat
    by_answer: keep the shares of the answers; one input of each is trained with, however few there are

    Raises:
        DataError: there are too few examples, or too few different inputs.
    """
    wanted = test if isinstance(test, int) else max(1, round(test * len(examples)))
    if wanted >= len(examples):
        raise DataError(f"expected fewer rows to test with than there are, found {wanted} of {len(examples)}")
    groups: dict[str, list[int]] = {}
    for place, example in enumerate(examples):
        groups.setdefault(same_input(example.input), []).append(place)
    alike = list(groups.values())
    strata = [examples[places[0]].answer if by_answer else "" for places in alike]
    tested: set[int] = set()
    for number in stratified_order(strata, seed, last_stays=True):
        if len(tested) + len(alike[number]) <= wanted:
            tested.update(alike[number])
    if not tested:
        raise DataError(
            f"{many(len(examples), 'row')}, {many(len(alike), 'different input')}: too few to split"
        )
    sides = [[e for place, e in enumerate(examples) if (place in tested) is side] for side in (False, True)]
    return sides[0], sides[1]


def stratified_order(strata: Sequence[Hashable], seed: str, *, last_stays: bool = False) -> list[int]:
    """A random order of the places, in which every beginning has about each stratum's
    share: of a stratum for each place, any order.

    The nth of a stratum's m places gets a random key from n/m to (n+1)/m, and the keys are sorted. With
    `last_stays`, one place of each stratum stays behind all others.
    """
    generator = random.Random(seed)
    members: dict[Hashable, list[int]] = {}
    for place, stratum in enumerate(strata):
        members.setdefault(stratum, []).append(place)
    keys: dict[int, float] = {}
    for places in members.values():
        generator.shuffle(places)
        for number, place in enumerate(places):
            last = last_stays and number + 1 == len(places)
            keys[place] = 1.0 if last else (number + generator.random()) / len(places)
    return sorted(keys, key=keys.__getitem__)
