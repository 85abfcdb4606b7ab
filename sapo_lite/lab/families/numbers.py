"""Numbers: the largest, the smallest, the next, in digits and in words."""

from random import Random

from sapo_lite.lab.family import Draw, family
from sapo_lite.lab.frames import YES_NO, check, extract, extreme, give
from sapo_lite.lab.sentences import any_words, listed
from sapo_lite.lab.words import NUMBERS


def _numbers(rng: Random, count: int) -> list[int]:
    return rng.sample(range(10, 100), count)


@family(extreme("[largest|biggest|greatest]", "number", "value", "highest"))
def largest(rng: Random) -> Draw:
    numbers = _numbers(rng, rng.randint(2, 4))
    return Draw(listed([str(number) for number in numbers]), str(max(numbers)))


@family(extreme("[smallest|least|lowest]", "number", "value", "lowest"))
def smallest(rng: Random) -> Draw:
    numbers = _numbers(rng, rng.randint(2, 4))
    return Draw(listed([str(number) for number in numbers]), str(min(numbers)))


@family(check("number", "the number is [larger|greater] than {limit}", "is the number above {limit} ?"))
def above(rng: Random) -> Draw:
    number, limit = _numbers(rng, 2)
    return Draw(str(number), YES_NO[number < limit], {"limit": str(limit)})


@family(check("list", "the first number is the [larger|greater] one", "is the first number larger ?"))
def first_is_larger(rng: Random) -> Draw:
    first, second = _numbers(rng, 2)
    return Draw(f"{first} , {second}", YES_NO[first < second])


@family(give("[digits|figures]", "number word", "write the number in digits"))
def in_digits(rng: Random) -> Draw:
    number = rng.randrange(len(NUMBERS))
    return Draw(NUMBERS[number], str(number))


@family(give("word", "number", "write the number as a word"))
def in_words(rng: Random) -> Draw:
    number = rng.randrange(len(NUMBERS))
    return Draw(str(number), NUMBERS[number])


@family(check("pair", "the [word|name] of the number is right", "is the [word|name] of the number right ?"))
def number_is_right(rng: Random) -> Draw:
    shown, other = rng.sample(range(len(NUMBERS)), 2)
    yes = rng.random() < 0.5
    return Draw(f"{NUMBERS[shown if yes else other]} = {shown}", YES_NO[not yes])


@family(extract("[number|figure]", "list", "which of the words is a number ?"))
def number_in_list(rng: Random) -> Draw:
    words, number = any_words(rng, rng.randint(2, 3)), str(rng.randint(10, 99))
    words.insert(rng.randint(0, len(words)), number)
    return Draw(listed(words), number)
