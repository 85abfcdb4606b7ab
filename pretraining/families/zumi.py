"""The toy language zumi: translation of words and short texts in both directions."""

from random import Random

from pretraining.family import Sample, family
from pretraining.frames import YES_NO, check, classify, pick, turn
from sapo_lite.lab.words import ZUMI


@family(
    turn(
        "zumi word",
        ["translate the zumi word", "translate the word [to|into] english"],
        ["the english word", "the meaning of the zumi word"],
    )
)
def to_english(rng: Random) -> Sample:
    english = rng.choice(list(ZUMI))
    return Sample(ZUMI[english], english)


@family(
    turn(
        "word",
        ["translate the word [to|into] zumi", "say the word in zumi"],
        ["the zumi word", "the word in zumi"],
    )
)
def to_zumi(rng: Random) -> Sample:
    english = rng.choice(list(ZUMI))
    return Sample(english, ZUMI[english])


@family(
    turn(
        "zumi text",
        ["translate the zumi text", "translate the text [to|into] english"],
        ["the english text", "the meaning of the zumi text"],
    )
)
def text_to_english(rng: Random) -> Sample:
    words = rng.sample(list(ZUMI), rng.randint(2, 4))
    return Sample(" ".join(ZUMI[word] for word in words), " ".join(words))


@family(turn("text", ["translate the text [to|into] zumi"], ["the zumi text"]))
def text_to_zumi(rng: Random) -> Sample:
    words = rng.sample(list(ZUMI), rng.randint(2, 3))
    return Sample(" ".join(words), " ".join(ZUMI[word] for word in words))


@family(classify("language", "[word|text]", ("zumi", "english")))
def language(rng: Random) -> Sample:
    words = rng.sample(list(ZUMI), rng.randint(1, 3))
    zumi = rng.random() < 0.5
    return Sample(" ".join(ZUMI[word] if zumi else word for word in words), "zumi" if zumi else "english")


@family(pick("the zumi word", "is zumi"))
def zumi_in_list(rng: Random) -> Sample:
    *words, other = rng.sample(list(ZUMI), 4)
    shown = [*words[: rng.randint(2, 3)], ZUMI[other]]
    return Sample(" , ".join(rng.sample(shown, len(shown))), ZUMI[other])


@family(pick("the zumi word for {word}", "is zumi for {word}"))
def zumi_word_for(rng: Random) -> Sample:
    words = rng.sample(list(ZUMI), 3)
    asked = rng.choice(words)
    return Sample(" , ".join(ZUMI[word] for word in words), ZUMI[asked], {"word": asked})


@family(check("zumi text", "the text tells of a {word}", "does the text tell of a {word} ?"))
def text_tells_of(rng: Random) -> Sample:
    *words, other = rng.sample(list(ZUMI), 4)
    yes = rng.random() < 0.5
    asked = rng.choice(words) if yes else other
    return Sample(" ".join(ZUMI[word] for word in words), YES_NO[not yes], {"word": asked})
