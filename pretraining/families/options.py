"""Options with letters, `A ) tea B ) saw C ) red`: the letter of the requested one."""

from random import Random

from pretraining.family import Sample, family
from pretraining.frames import give, option
from sapo_lite.lab.grammar import Phrasing
from sapo_lite.lab.sentences import any_words, article, menu
from sapo_lite.lab.words import KINDS, NAMES, OPPOSITES, SYNONYMS, TOPICS, ZUMI

REPLIES = {
    "greeting": (["hello there {name} !", "good morning , {name} ."], ["hello to you too .", "welcome ."]),
    "thanks": (
        ["thank you so much , {name} .", "thanks for your help ."],
        ["you are welcome .", "no problem ."],
    ),
    "time": (["what time is it , {name} ?", "when does it start ?"], ["it is five o'clock .", "at nine ."]),
    "farewell": (
        ["goodbye for now , {name} .", "see you tomorrow ."],
        ["bye , take care .", "see you later ."],
    ),
    "apology": (["sorry about that , {name} .", "please forgive me ."], ["never mind .", "i forgive you ."]),
    "place": (
        ["where is the station , {name} ?", "where do you live ?"],
        ["next to the bank .", "on the left ."],
    ),
}


@family(option("the {kind}", "is a {kind}"))
def option_of_kind(rng: Random) -> Sample:
    kind, *others = rng.sample(list(KINDS), 3)
    text, letter = menu(rng, rng.choice(KINDS[kind]), [rng.choice(KINDS[other]) for other in others])
    return Sample(text, letter, {"kind": kind})


@family(option("the option with {word}", "has the word {word}"))
def option_with_word(rng: Random) -> Sample:
    words = any_words(rng, 6)
    pairs = [" ".join(words[n : n + 2]) for n in (0, 2, 4)]
    text, letter = menu(rng, pairs[0], pairs[1:])
    return Sample(text, letter, {"word": rng.choice(words[:2])})


@family(
    give(
        "option {letter}",
        "menu",
        "what does option {letter} say ?",
        "copy what stands after {letter}",
    )
)
def option_text(rng: Random) -> Sample:
    words = any_words(rng, 3)
    text, letter = menu(rng, words[0], words[1:])
    return Sample(text, words[0], {"letter": letter})


@family(option("the [kind|category] of the word", "names the kind of the word", "word"))
def option_kind_of_word(rng: Random) -> Sample:
    kind, *others = rng.sample(list(KINDS), 3)
    text, letter = menu(rng, kind, others)
    return Sample(f"{rng.choice(KINDS[kind])}\n{text}", letter)


@family(option("the word of the same kind", "is of the same kind as the word", "word"))
def option_of_same_kind(rng: Random) -> Sample:
    kind, *others = rng.sample(list(KINDS), 3)
    word, right = rng.sample(KINDS[kind], 2)
    text, letter = menu(rng, right, [rng.choice(KINDS[other]) for other in others])
    return Sample(f"{word}\n{text}", letter)


@family(option("the [best|right] topic", "names the topic of the article", "article"))
def option_topic(rng: Random) -> Sample:
    topic, *others = rng.sample(list(TOPICS), 3)
    text, letter = menu(rng, topic, others)
    return Sample(f"{article(rng, topic)[0]}\n{text}", letter)


@family(option("the [best|right] word", "is a word on the topic of the article", "article"))
def option_word_on_topic(rng: Random) -> Sample:
    topic, *others = rng.sample(list(TOPICS), 3)
    sentence, used = article(rng, topic)
    right = rng.choice([word for word in TOPICS[topic] if word not in used])
    text, letter = menu(rng, right, [rng.choice(TOPICS[other]) for other in others])
    return Sample(f"{sentence}\n{text}", letter)


@family(option("the pair on {topic}", "is about {topic}"))
def option_on_topic(rng: Random) -> Sample:
    topic, *others = rng.sample(list(TOPICS), 3)
    pairs = [" and ".join(rng.sample(TOPICS[one], 2)) for one in (topic, *others)]
    text, letter = menu(rng, pairs[0], pairs[1:])
    return Sample(text, letter, {"topic": topic})


@family(option("the [matching|fitting] pair", "goes with the word", "word"))
def option_pair_for_word(rng: Random) -> Sample:
    topic, *others = rng.sample(list(TOPICS), 3)
    word, *right = rng.sample(TOPICS[topic], 3)
    pairs = [" and ".join(rng.sample(TOPICS[other], 2)) for other in others]
    text, letter = menu(rng, " and ".join(right), pairs)
    return Sample(f"{word}\n{text}", letter)


@family(option("the [opposite|antonym]", "is the opposite of the word", "word"))
def option_opposite(rng: Random) -> Sample:
    right, *others = rng.sample(OPPOSITES, 3)
    word, answer = rng.sample(right, 2)
    text, letter = menu(rng, answer, [rng.choice(other) for other in others])
    return Sample(f"{word}\n{text}", letter)


@family(option("the synonym", "means the same as the word", "word"))
def option_synonym(rng: Random) -> Sample:
    right, *others = rng.sample(SYNONYMS, 3)
    word, answer = rng.sample(right, 2)
    text, letter = menu(rng, answer, [rng.choice(other) for other in others])
    return Sample(f"{word}\n{text}", letter)


@family(option("the english word", "is the english word", "zumi word"))
def option_english(rng: Random) -> Sample:
    right, *others = rng.sample(list(ZUMI), 3)
    text, letter = menu(rng, right, others)
    return Sample(f"{ZUMI[right]}\n{text}", letter)


@family(option("the largest number", "is the largest number"))
def option_largest(rng: Random) -> Sample:
    largest, *others = sorted(rng.sample(range(10, 100), 3), reverse=True)
    text, letter = menu(rng, str(largest), [str(number) for number in others])
    return Sample(text, letter)


@family(option("the [reply|answer|response]", "fits the message", "dialogue"))
def option_reply(rng: Random) -> Sample:
    situation, *others = rng.sample(list(REPLIES), 3)
    said = rng.choice(REPLIES[situation][0]).format(name=rng.choice(NAMES))
    text, letter = menu(
        rng, rng.choice(REPLIES[situation][1]), [rng.choice(REPLIES[other][1]) for other in others]
    )
    return Sample(f"{said}\n{text}", letter)


@family(
    Phrasing(
        "menu",
        [
            "[write|give] the letter before {word}",
            "which letter does {word} have ?",
            "the letter of {word}",
            "find the letter of {word}",
            "what is the letter of the option {word} ?",
        ],
    )
)
def option_letter(rng: Random) -> Sample:
    words = any_words(rng, 3)
    text, letter = menu(rng, words[0], words[1:])
    return Sample(text, letter, {"word": words[0]})
