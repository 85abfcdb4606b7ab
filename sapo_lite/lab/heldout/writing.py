"""Held-out tasks that write something of their own: a count, a list, a sentence."""

from random import Random

from sapo_lite.lab.grammar import Phrasing
from sapo_lite.lab.heldout.task import task
from sapo_lite.lab.sentences import any_words, listed, record, written
from sapo_lite.lab.words import KINDS
from sapo_lite.types import Example


@task(
    Phrasing(
        "list",
        [
            "count the animals",
            "how many animals are there ?",
            "the number of animals in the list",
            "say how many [words|items] are animals",
            "how many of the [words|items] name an animal ?",
            "the count of living things",
            "tally up the beasts",
            "how large is the zoo ?",
        ],
    )
)
def animals(rng: Random) -> Example:
    """Four words -> how many of them are animals, 0 to 4."""
    count = rng.randint(0, 4)
    words = rng.sample(KINDS["animal"], count)
    others = [word for word in any_words(rng, 9) if word not in KINDS["animal"]]
    words += others[: 4 - count]
    return Example(listed(rng.sample(words, len(words))), str(count))


@task(
    Phrasing(
        "list",
        [
            "swap the first and the last word",
            "what is the list with the first and the last word swapped ?",
            "the list with its ends exchanged",
            "write the list with the first word in the last place and the last word in the first",
            "exchange the two outer words",
            "what do we get if both ends change places ?",
            "let head and tail trade places",
            "the sequence after a switch of its extremes",
        ],
    )
)
def swap(rng: Random) -> Example:
    """Four words -> the same with the first and the last one exchanged."""
    first, second, third, last = any_words(rng, 4)
    return Example(f"{first} {second} {third} {last}", f"{last} {second} {third} {first}")


@task(
    Phrasing(
        "record",
        [
            "write an invitation to the person",
            "what is the invitation to the person ?",
            "the invitation to the person",
            "turn the record into an invitation",
            "invite the person",
            "how would you ask the person to come ?",
            "a line that bids the guest welcome",
            "summon the named party",
        ],
    )
)
def invitation(rng: Random) -> Example:
    """Name, city and day -> `anna , come to oslo on monday .`"""
    fields = record(rng, ("name", "city", "day"))
    return Example(written(fields), "{name} , come to {city} on {day} .".format(**fields))
