"""Questions about several things at once: long answers, which teach more than a label.

The cost of a pretraining step grows with the tokens of the prompts, its effect with the tokens of the
answers. What the model learns here about a word, a number or a line helps in the families with a question
about one of them.
"""

from random import Random

from pretraining.family import Sample, family
from pretraining.frames import turn
from sapo_lite.lab.grammar import Phrasing
from sapo_lite.lab.sentences import any_words, listed, menu, record, written
from sapo_lite.lab.words import ADJECTIVES_BY_STARS, FEELINGS, KINDS, NAMES, NUMBERS, OPPOSITES, TOPICS

PLURAL = "[words|items]"
UNITS = "cm kg coins years".split()


def each(target: str, things: str = PLURAL) -> Phrasing:
    """The target of every thing: `each("kind")`"""
    cores = [
        f"[give|write] the {target} of [every|each] word in the list",
        f"what are the {target}s of the {things} ?",
        f"the {target}s of all {things}",
        f"go through the list and name the {target} of [every|each] word",
        f"the {target} of [every|each] word in the list",
        f"which {target} does each of the {things} have ?",
        f"list the {target}s of the {things}",
    ]
    return Phrasing("list", cores)


def _labelled(rng: Random, groups: dict[str, list[str]], count: int) -> Sample:
    """Words of any groups, and the group of each."""
    answers = [rng.choice(list(groups)) for _ in range(count)]
    return Sample(listed([rng.choice(groups[answer]) for answer in answers]), listed(answers))


@family(each("[kind|category|type]"))
def kinds(rng: Random) -> Sample:
    return _labelled(rng, KINDS, rng.randint(2, 5))


@family(each("[topic|subject]"))
def topics(rng: Random) -> Sample:
    return _labelled(rng, TOPICS, rng.randint(2, 5))


@family(each("[emotion|feeling]"))
def emotions(rng: Random) -> Sample:
    return _labelled(rng, FEELINGS, rng.randint(2, 5))


@family(each("sentiment", "adjectives"))
def sentiments(rng: Random) -> Sample:
    stars = ADJECTIVES_BY_STARS
    return _labelled(
        rng, {"positive": stars[4] + stars[5], "negative": stars[1] + stars[2]}, rng.randint(2, 5)
    )


@family(each("level", "adjectives"))
def levels(rng: Random) -> Sample:
    stars = ADJECTIVES_BY_STARS
    groups = {"low": stars[1] + stars[2], "middle": stars[3], "high": stars[4] + stars[5]}
    return _labelled(rng, groups, rng.randint(2, 5))


@family(each("strength", "adjectives"))
def strengths(rng: Random) -> Sample:
    stars = ADJECTIVES_BY_STARS
    groups = {"strong": stars[1] + stars[5], "mild": stars[2] + stars[3] + stars[4]}
    return _labelled(rng, groups, rng.randint(2, 5))


@family(each("[opposite|antonym]"))
def all_opposites(rng: Random) -> Sample:
    pairs = [rng.sample(pair, 2) for pair in rng.sample(OPPOSITES, rng.randint(2, 4))]
    return Sample(listed([left for left, _ in pairs]), listed([right for _, right in pairs]))


@family(each("digit", "number words"))
def all_in_digits(rng: Random) -> Sample:
    numbers = [rng.randrange(len(NUMBERS)) for _ in range(rng.randint(2, 5))]
    return Sample(listed([NUMBERS[n] for n in numbers]), listed([str(n) for n in numbers]))


@family(
    turn(
        "list",
        ["sort the numbers", "write the numbers from the smallest to the largest"],
        ["the numbers in order", "the sorted numbers"],
    )
)
def sorted_numbers(rng: Random) -> Sample:
    numbers = rng.sample(range(10, 100), rng.randint(2, 4))
    return Sample(listed([str(n) for n in numbers]), listed([str(n) for n in sorted(numbers)]))


def _facts(rng: Random) -> tuple[str, dict[str, int]]:
    """`anna : 34 cm , tom : 20 cm`, and the numbers by name."""
    count, unit = rng.randint(2, 4), rng.choice(UNITS)
    numbers = dict(zip(rng.sample(NAMES, count), rng.sample(range(10, 100), count), strict=True))
    return listed([f"{name} : {number} {unit}" for name, number in numbers.items()]), numbers


@family(turn("list", ["[write|copy] the names", "name all people"], ["the names in the list", "all names"]))
def all_names(rng: Random) -> Sample:
    text, numbers = _facts(rng)
    return Sample(text, listed(list(numbers)))


@family(turn("list", ["[write|copy] the numbers of the people"], ["the numbers in the list", "all numbers"]))
def all_numbers(rng: Random) -> Sample:
    text, numbers = _facts(rng)
    return Sample(text, listed([str(number) for number in numbers.values()]))


@family(turn("record", ["[write|copy] the values", "list all values"], ["the values of all fields"]))
def all_values(rng: Random) -> Sample:
    fields = record(rng, rng.sample(("name", "age", "city", "job", "color", "day"), rng.randint(2, 5)))
    return Sample(written(fields), listed(list(fields.values())))


@family(turn("menu", ["[write|copy] all options in a list"], ["the options without their letters"]))
def all_options(rng: Random) -> Sample:
    words = any_words(rng, rng.randint(2, 4))
    text, _ = menu(rng, words[0], words[1:])
    shown = sorted(words, key=text.split().index)
    return Sample(text, listed(shown))
