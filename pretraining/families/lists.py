"""Lists of words: kinds, counts, positions, and rewritten lists."""

from random import Random

from pretraining.family import Sample, family
from pretraining.frames import YES_NO, check, count, give, pick, turn
from sapo_lite.lab.grammar import Phrasing
from sapo_lite.lab.sentences import any_words, listed
from sapo_lite.lab.words import KINDS

WORDS = "[words|items]"
PLACES = {"first": 0, "second": 1, "third": 2, "last": -1}


def _one_of_each(rng: Random, count: int) -> dict[str, str]:
    """`count` words of different kinds, by kind."""
    return {kind: rng.choice(KINDS[kind]) for kind in rng.sample(list(KINDS), count)}


@family(give("[common kind|category]", "list", f"what do the {WORDS} have in common ?"))
def kind_of_list(rng: Random) -> Sample:
    kind = rng.choice(list(KINDS))
    return Sample(listed(rng.sample(KINDS[kind], rng.randint(2, 4))), kind)


@family(pick("the {kind}", "is a {kind}"))
def word_of_kind(rng: Random) -> Sample:
    words = _one_of_each(rng, rng.randint(3, 4))
    kind = rng.choice(list(words))
    return Sample(listed(list(words.values())), words[kind], {"kind": kind})


@family(pick("the [word|item] of another kind than {kind}", "is not a {kind}"))
def word_of_no_kind(rng: Random) -> Sample:
    kind, other = rng.sample(list(KINDS), 2)
    odd = rng.choice(KINDS[other])
    words = [odd, *rng.sample(KINDS[kind], rng.randint(2, 3))]
    return Sample(listed(rng.sample(words, len(words))), odd, {"kind": kind})


@family(check("list", "the list contains a {kind}", "is there a {kind} in the list ?"))
def contains_kind(rng: Random) -> Sample:
    words = _one_of_each(rng, 4)
    kind = rng.choice(list(words))
    yes = rng.random() < 0.5
    shown = [word for other, word in words.items() if other != kind][: 2 if yes else 3]
    shown = rng.sample([*shown, words[kind]], 3) if yes else shown
    return Sample(listed(shown), YES_NO[not yes], {"kind": kind})


@family(check("list", "the [word|item] {word} is in the list", "does the list contain the word {word} ?"))
def contains_word(rng: Random) -> Sample:
    *words, other = any_words(rng, rng.randint(4, 5))
    yes = rng.random() < 0.5
    return Sample(listed(words), YES_NO[not yes], {"word": rng.choice(words) if yes else other})


@family(check("list", f"all {WORDS} are of one kind", f"are all {WORDS} of the same kind ?"))
def all_of_one_kind(rng: Random) -> Sample:
    kind, other = rng.sample(list(KINDS), 2)
    words = rng.sample(KINDS[kind], rng.randint(2, 3))
    yes = rng.random() < 0.5
    if not yes:
        words[rng.randrange(len(words))] = rng.choice(KINDS[other])
    return Sample(listed(words), YES_NO[not yes])


@family(turn("list", ["keep every {kind} and drop the rest"], ["every {kind} in the list"]))
def only_kind(rng: Random) -> Sample:
    kind, other = rng.sample(list(KINDS), 2)
    keep = rng.sample(KINDS[kind], rng.randint(1, 3))
    drop = rng.sample(KINDS[other], rng.randint(1, 2))
    words = rng.sample(keep + drop, len(keep + drop))
    return Sample(listed(words), listed([word for word in words if word in keep]), {"kind": kind})


@family(
    turn(
        "list",
        ["mark every {kind} with yes and the rest with no"],
        ["yes for every {kind} , no for the rest"],
    )
)
def marks(rng: Random) -> Sample:
    kind, other = rng.sample(list(KINDS), 2)
    words = rng.sample(KINDS[kind], rng.randint(0, 3)) + rng.sample(KINDS[other], rng.randint(1, 2))
    words = rng.sample(words, len(words))
    return Sample(listed(words), listed([YES_NO[word not in KINDS[kind]] for word in words]), {"kind": kind})


@family(count(WORDS))
def count_words(rng: Random) -> Sample:
    number = rng.randint(1, 8)
    return Sample(listed(any_words(rng, number)), str(number))


@family(count("different [words|items]"))
def count_different(rng: Random) -> Sample:
    number = rng.randint(1, 4)
    words = any_words(rng, number)
    words += rng.choices(words, k=rng.randint(0, 2))
    return Sample(listed(rng.sample(words, len(words))), str(number))


@family(pick("the [word|item] that comes twice", "is there twice"))
def twice(rng: Random) -> Sample:
    words = any_words(rng, rng.randint(2, 4))
    answer = words[0]
    words.append(answer)
    return Sample(listed(rng.sample(words, len(words))), answer)


@family(
    Phrasing(
        "list",
        [
            "[give|write|find] the {place} [word|item]",
            "what is the {place} [word|item] ?",
            "the {place} [word|item] of the list",
            "which [word|item] is the {place} ?",
            "copy the {place} [word|item] of the list",
            "the [word|item] in {place} place",
            "which [word|item] stands in {place} place ?",
        ],
    )
)
def word_at_place(rng: Random) -> Sample:
    words = any_words(rng, rng.randint(3, 6))
    place = rng.choice(list(PLACES))
    return Sample(" ".join(words), words[PLACES[place]], {"place": place})


@family(turn("list", ["[copy|repeat] the list", "write the same words again"], ["the same list again"]))
def copy(rng: Random) -> Sample:
    text = " ".join(any_words(rng, rng.randint(1, 6)))
    return Sample(text, text)


@family(
    turn(
        "list",
        ["reverse the list", "write the words [backwards|from last to first]"],
        ["the list in reverse order", "the words from last to first"],
    )
)
def reverse(rng: Random) -> Sample:
    words = any_words(rng, rng.randint(2, 5))
    return Sample(" ".join(words), " ".join(reversed(words)))


@family(turn("list", ["[drop|remove] the {place} word"], ["the list without the {place} word"]))
def without(rng: Random) -> Sample:
    words = any_words(rng, rng.randint(3, 5))
    place = rng.choice(list(PLACES))
    kept = [word for n, word in enumerate(words) if n != PLACES[place] % len(words)]
    return Sample(" ".join(words), " ".join(kept), {"place": place})


@family(turn("list", ["move the first word to the end"], ["the list with its first word moved to the end"]))
def rotate(rng: Random) -> Sample:
    first, *rest = any_words(rng, rng.randint(3, 5))
    return Sample(" ".join([first, *rest]), " ".join([*rest, first]))


@family(turn("list", ["exchange the first two words"], ["the list with the first two words exchanged"]))
def first_two_exchanged(rng: Random) -> Sample:
    first, second, *rest = any_words(rng, rng.randint(3, 5))
    return Sample(" ".join([first, second, *rest]), " ".join([second, first, *rest]))


@family(turn("list", ["give the first and the last word"], ["the first and the last word"]))
def first_and_last(rng: Random) -> Sample:
    words = any_words(rng, rng.randint(3, 5))
    return Sample(" ".join(words), f"{words[0]} {words[-1]}")


@family(turn("list", ["put and between the words"], ["the words with and between them"]))
def joined(rng: Random) -> Sample:
    words = any_words(rng, rng.randint(2, 4))
    return Sample(listed(words), " and ".join(words))
