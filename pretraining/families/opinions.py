"""Opinions about a product, and feelings."""

from random import Random

from pretraining.family import Sample, family
from pretraining.frames import YES_NO, check, classify, extract
from sapo_lite.lab.sentences import message, review
from sapo_lite.lab.words import ADJECTIVES_BY_STARS, FEELINGS, NAMES, PRODUCTS

REVIEW = "[review|comment|feedback|opinion]"
PRAISE = ADJECTIVES_BY_STARS[5] + ADJECTIVES_BY_STARS[4]
BLAME = ADJECTIVES_BY_STARS[1] + ADJECTIVES_BY_STARS[2]
STRONG = ADJECTIVES_BY_STARS[5] + ADJECTIVES_BY_STARS[1]
MILD = ADJECTIVES_BY_STARS[4] + ADJECTIVES_BY_STARS[3] + ADJECTIVES_BY_STARS[2]


@family(classify("sentiment", REVIEW, ("positive", "negative"), "what does the customer think ?"))
def sentiment(rng: Random) -> Sample:
    good = rng.random() < 0.5
    return Sample(review(rng, rng.choice(PRAISE if good else BLAME)), "positive" if good else "negative")


@family(classify("level", REVIEW, ("low", "middle", "high"), f"give the {REVIEW} a level"))
def level(rng: Random) -> Sample:
    words = {"low": BLAME, "middle": ADJECTIVES_BY_STARS[3], "high": PRAISE}
    answer = rng.choice(list(words))
    return Sample(review(rng, rng.choice(words[answer])), answer)


@family(classify("strength", REVIEW, ("strong", "mild"), "say how strong the opinion is"))
def strength(rng: Random) -> Sample:
    strong = rng.random() < 0.5
    return Sample(review(rng, rng.choice(STRONG if strong else MILD)), "strong" if strong else "mild")


@family(check(REVIEW, "the customer liked the product", "did the customer like the product ?"))
def liked(rng: Random) -> Sample:
    good = rng.random() < 0.5
    return Sample(review(rng, rng.choice(PRAISE if good else BLAME)), YES_NO[not good])


@family(extract("[product|thing]", REVIEW, "what did the customer [buy|try] ?"))
def product(rng: Random) -> Sample:
    adjective = rng.choice(PRAISE + BLAME + ADJECTIVES_BY_STARS[3])
    text = review(rng, adjective)
    (answer,) = [word for word in PRODUCTS if word in text.split()]
    return Sample(text, answer)


@family(extract("[adjective|describing word]", REVIEW, "in which word does the customer judge ?"))
def adjective(rng: Random) -> Sample:
    answer = rng.choice(PRAISE + BLAME + ADJECTIVES_BY_STARS[3])
    return Sample(review(rng, answer), answer)


@family(classify("emotion", "[message|note]", tuple(FEELINGS), "what does the speaker feel ?"))
def emotion(rng: Random) -> Sample:
    answer = rng.choice(list(FEELINGS))
    return Sample(message(rng, rng.choice(FEELINGS[answer])), answer)


@family(check("[message|note]", "the speaker tells of {emotion}", "does the speaker tell of {emotion} ?"))
def emotion_is(rng: Random) -> Sample:
    asked = rng.choice(list(FEELINGS))
    yes = rng.random() < 0.5
    felt = asked if yes else rng.choice([emotion for emotion in FEELINGS if emotion != asked])
    return Sample(message(rng, rng.choice(FEELINGS[felt])), YES_NO[not yes], {"emotion": asked})


@family(extract("[feeling|emotion] word", "[message|note]"))
def feeling_word(rng: Random) -> Sample:
    answer = rng.choice(FEELINGS[rng.choice(list(FEELINGS))])
    return Sample(message(rng, answer), answer)


@family(classify("type", "[message|note]", ("spam", "ham"), "is the [message|note] junk ?"))
def spam(rng: Random) -> Sample:
    name, thing, number = rng.choice(NAMES), rng.choice(PRODUCTS), rng.randint(10, 99)
    offers = [
        f"win {number} coins now , click here !",
        f"free {thing} for you , call now !",
        f"{name} , you are the lucky winner of a {thing} !",
        f"cheap {thing} for {number} coins , buy now and save !",
    ]
    letters = [
        f"can we meet at {number % 12 + 1} , {name} ?",
        f"{name} is at home with the {thing} .",
        f"i will bring the {thing} tomorrow .",
        f"{name} paid {number} coins for the {thing} .",
    ]
    junk = rng.random() < 0.5
    return Sample(rng.choice(offers if junk else letters), "spam" if junk else "ham")
