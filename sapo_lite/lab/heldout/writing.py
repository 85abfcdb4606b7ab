"""Held-out tasks with a free answer: a count, a list, a sentence."""

from random import Random

from sapo_lite.lab.grammar import Phrasing
from sapo_lite.lab.heldout.task import task
from sapo_lite.lab.sentences import any_words, record, written
from sapo_lite.lab.words import DAYS, NAMES
from sapo_lite.types import Example

# Sentences about guests: `{}` is `eva , tom and max`.
VISITS = [
    "{guests} came to the dinner on {day} .",
    "on {day} {guests} were here .",
    "the host welcomed {guests} .",
    "{guests} sat at the table .",
]


@task(
    Phrasing(
        "text",
        [
            "count the guests",
            "how many guests are there ?",
            "the number of guests in the text",
            "say how many people came",
            "how many names does the text have ?",
            "the count of visitors",
            "tally up the company",
            "how many chairs did the host need ?",
        ],
    )
)
def guests(rng: Random) -> Example:
    """A sentence that names one to five guests -> how many."""
    *others, last = rng.sample(NAMES, rng.randint(1, 5))
    named = f"{' , '.join(others)} and {last}" if others else last
    text = rng.choice(VISITS).format(guests=named, day=rng.choice(DAYS))
    return Example(text, str(len(others) + 1))


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
