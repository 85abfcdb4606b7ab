"""Facts about people and things: the largest value, the value of one, the roles in an event."""

from random import Random

from pretraining.family import Sample, family
from pretraining.frames import extract, extreme, give
from sapo_lite.lab.sentences import listed
from sapo_lite.lab.words import DAYS, KINDS, NAMES, PRODUCTS

UNITS = {"height": "cm", "weight": "kg", "money": "coins", "age": "years"}


def _facts(rng: Random, unit: str, count: int, among: list[str] = NAMES) -> tuple[str, dict[str, int]]:
    """`anna : 34 cm , tom : 20 cm`, and the numbers by name. All differ."""
    numbers = dict(zip(rng.sample(among, count), rng.sample(range(10, 100), count), strict=True))
    return listed([f"{name} : {number} {unit}" for name, number in numbers.items()]), numbers


def _most(rng: Random, unit: str, among: list[str] = NAMES) -> Sample:
    text, numbers = _facts(rng, unit, rng.randint(2, 3), among)
    return Sample(text, max(numbers, key=numbers.__getitem__))


def _least(rng: Random, unit: str, among: list[str] = NAMES) -> Sample:
    text, numbers = _facts(rng, unit, rng.randint(2, 3), among)
    return Sample(text, min(numbers, key=numbers.__getitem__))


@family(extreme("[tallest|taller]", "person", "height", "highest"))
def tallest(rng: Random) -> Sample:
    return _most(rng, "cm")


@family(extreme("[shortest|shorter]", "person", "height", "lowest"))
def shortest(rng: Random) -> Sample:
    return _least(rng, "cm")


@family(extreme("[heaviest|heavier]", "person", "weight", "highest"))
def heaviest(rng: Random) -> Sample:
    return _most(rng, "kg")


@family(extreme("[lightest|lighter]", "person", "weight", "lowest"))
def lightest(rng: Random) -> Sample:
    return _least(rng, "kg")


@family(extreme("[richest|richer]", "person", "money", "highest"))
def richest(rng: Random) -> Sample:
    return _most(rng, "coins")


@family(extreme("[dearest|dearer]", "product", "price", "highest"))
def dearest(rng: Random) -> Sample:
    return _most(rng, "coins", PRODUCTS)


@family(extreme("[cheapest|cheaper]", "product", "price", "lowest"))
def cheapest(rng: Random) -> Sample:
    return _least(rng, "coins", PRODUCTS)


def _gift(rng: Random) -> tuple[str, str, str, str]:
    """A sentence about a gift: text, giver, receiver, thing."""
    giver, receiver = rng.sample(NAMES, 2)
    thing = rng.choice(PRODUCTS + KINDS["tool"])
    text = rng.choice(
        [
            f"{giver} gave {receiver} a {thing} .",
            f"{giver} gave a {thing} to {receiver} .",
            f"{receiver} got a {thing} from {giver} .",
            f"a {thing} was sent to {receiver} by {giver} .",
            f"on {rng.choice(DAYS)} {giver} sent a {thing} to {receiver} .",
        ]
    )
    return text, giver, receiver, thing


@family(extract("giver", "text", "who gave the thing away ?", "who did it come from ?"))
def giver(rng: Random) -> Sample:
    text, answer, _, _ = _gift(rng)
    return Sample(text, answer)


@family(extract("receiver", "text", "who got the thing ?", "who was it given to ?"))
def receiver(rng: Random) -> Sample:
    text, _, answer, _ = _gift(rng)
    return Sample(text, answer)


@family(extract("gift", "text", "what was given ?"))
def gift(rng: Random) -> Sample:
    text, _, _, answer = _gift(rng)
    return Sample(text, answer)


@family(give("owner of the {thing}", "list", "who has the {thing} ?", "whose is the {thing} ?"))
def owner(rng: Random) -> Sample:
    names, things = rng.sample(NAMES, 3), rng.sample(PRODUCTS, 3)
    template = rng.choice(["{0} has a {1}", "{0} : {1}"])
    text = listed([template.format(name, thing) for name, thing in zip(names, things, strict=True)])
    answer = rng.randrange(3)
    return Sample(text, names[answer], {"thing": things[answer]})
