"""Single words and pairs: kinds, letters, synonyms, opposites, order."""

from random import Random

from pretraining.family import Sample, family
from pretraining.frames import YES_NO, check, classify, give
from sapo_lite.lab.sentences import any_words
from sapo_lite.lab.words import DAYS, KINDS, MEN, OPPOSITES, SYNONYMS, WOMEN, ZUMI


def _opposite(rng: Random) -> tuple[str, str]:
    left, right = rng.choice(OPPOSITES)
    return (left, right) if rng.random() < 0.5 else (right, left)


@family(give("[kind|category|type]", "word", "what kind of thing is this ?", "say what the word is"))
def kind(rng: Random) -> Sample:
    answer = rng.choice(list(KINDS))
    return Sample(rng.choice(KINDS[answer]), answer)


@family(check("pair", "the two words are of the same [kind|type]", "are the two words of the same kind ?"))
def same_kind(rng: Random) -> Sample:
    left, right = rng.sample(list(KINDS), 2)
    yes = rng.random() < 0.5
    words = rng.sample(KINDS[left], 2) if yes else [rng.choice(KINDS[left]), rng.choice(KINDS[right])]
    return Sample(" , ".join(words), YES_NO[not yes])


@family(check("pair", "the kind of the word is [right|correct]", "is the kind [right|correct] ?"))
def kind_is_right(rng: Random) -> Sample:
    shown = rng.choice(list(KINDS))
    yes = rng.random() < 0.5
    real = shown if yes else rng.choice([kind for kind in KINDS if kind != shown])
    return Sample(f"{rng.choice(KINDS[real])} = {shown}", YES_NO[not yes])


@family(check("pair", "both kinds are [right|correct]", "are both kinds [right|correct] ?"))
def kinds_are_right(rng: Random) -> Sample:
    first, second, other = rng.sample(list(KINDS), 3)
    yes = rng.random() < 0.5
    shown = [first, second]
    if not yes:
        shown[rng.randrange(2)] = other
    words = f"{rng.choice(KINDS[first])} {rng.choice(KINDS[second])}"
    return Sample(f"{words} = {' '.join(shown)}", YES_NO[not yes])


@family(check("pair", "the two sides are [equal|the same]", "are the two sides [equal|the same] ?"))
def equal(rng: Random) -> Sample:
    size = rng.randint(1, 2)
    left = [rng.choice([rng.choice(any_words(rng, 1)), *rng.choice(list(ZUMI.items()))]) for _ in range(size)]
    right = list(left)
    yes = rng.random() < 0.5
    if not yes:
        place = rng.randrange(size)
        right[place] = rng.choice([word for word in any_words(rng, 3) if word != left[place]])
    return Sample(f"{' '.join(left)} = {' '.join(right)}", YES_NO[not yes])


@family(give("[opposite|antonym]", "word", "write a word with the opposite meaning"))
def opposite(rng: Random) -> Sample:
    return Sample(*_opposite(rng))


@family(check("pair", "the two words are opposites", "are the two words opposites ?"))
def opposites(rng: Random) -> Sample:
    left, right = _opposite(rng)
    yes = rng.random() < 0.5
    others = [word for pair in OPPOSITES for word in pair if word not in (left, right)]
    return Sample(f"{left} , {right if yes else rng.choice(others)}", YES_NO[not yes])


@family(give("[synonym|other word]", "word", "write a word that means the same"))
def synonym(rng: Random) -> Sample:
    answer, *others = rng.choice(SYNONYMS)
    return Sample(rng.choice(others), answer)


@family(check("pair", "the two words mean the same", "do the two words mean the same ?"))
def synonyms(rng: Random) -> Sample:
    group, other = rng.sample(SYNONYMS, 2)
    left = rng.choice(group)
    yes = rng.random() < 0.5
    right = rng.choice([word for word in (group if yes else other) if word != left])
    return Sample(f"{left} , {right}", YES_NO[not yes])


@family(classify("gender", "person", ("man", "woman")))
def gender(rng: Random) -> Sample:
    woman = rng.random() < 0.5
    name = rng.choice(WOMEN if woman else MEN)
    text = rng.choice(["{}", "my friend {}", "this is {} .", "{} is here", "i met {} today"]).format(name)
    return Sample(text, "woman" if woman else "man")


@family(give("next day", "day", "which day comes [next|after the day] ?"))
def next_day(rng: Random) -> Sample:
    day = rng.randrange(len(DAYS))
    return Sample(DAYS[day], DAYS[(day + 1) % len(DAYS)])
