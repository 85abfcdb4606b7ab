"""Numbers: the largest, the smallest, the next, in digits and in words."""

from random import Random

from pretraining.family import Sample, family
from pretraining.frames import YES_NO, check, extract, extreme, give
from sapo_lite.lab.sentences import any_words, listed
from sapo_lite.lab.words import NUMBERS


def _numbers(rng: Random, count: int) -> list[int]:
    return rng.sample(range(10, 100), count)


@family(extreme("[largest|biggest|greatest]", "number", "value", "highest"))
def largest(rng: Random) -> Sample:
    numbers = _numbers(rng, rng.randint(2, 4))
    return Sample(listed([str(number) for number in numbers]), str(max(numbers)))


@family(extreme("[smallest|least|lowest]", "number", "value", "lowest"))
def smallest(rng: Random) -> Sample:
    numbers = _numbers(rng, rng.randint(2, 4))
    return Sample(listed([str(number) for number in numbers]), str(min(numbers)))


@family(check("number", "the number is [larger|greater] than {limit}", "is the number above {limit} ?"))
def above(rng: Random) -> Sample:
    number, limit = _numbers(rng, 2)
    return Sample(str(number), YES_NO[number < limit], {"limit": str(limit)})


@family(check("list", "the first number is the [larger|greater] one", "is the first number larger ?"))
def first_is_larger(rng: Random) -> Sample:
    first, second = _numbers(rng, 2)
    return Sample(f"{first} , {second}", YES_NO[first < second])


@family(give("[digits|figures]", "number word", "write the number in digits"))
def in_digits(rng: Random) -> Sample:
    number = rng.randrange(len(NUMBERS))
    return Sample(NUMBERS[number], str(number))


@family(give("word", "number", "write the number as a word"))
def in_words(rng: Random) -> Sample:
    number = rng.randrange(len(NUMBERS))
    return Sample(str(number), NUMBERS[number])


@family(check("pair", "the [word|name] of the number is right", "is the [word|name] of the number right ?"))
def number_is_right(rng: Random) -> Sample:
    shown, other = rng.sample(range(len(NUMBERS)), 2)
    yes = rng.random() < 0.5
    return Sample(f"{NUMBERS[shown if yes else other]} = {shown}", YES_NO[not yes])


@family(extract("[number|figure]", "list", "which of the words is a number ?"))
def number_in_list(rng: Random) -> Sample:
    words, number = any_words(rng, rng.randint(2, 3)), str(rng.randint(10, 99))
    words.insert(rng.randint(0, len(words)), number)
    return Sample(listed(words), number)
