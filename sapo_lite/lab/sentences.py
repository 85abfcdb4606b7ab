"""Sentences of tasks and pretraining families: reviews, articles, messages, records, option menus."""

from collections.abc import Sequence
from random import Random

from sapo_lite.lab.words import DAYS, KINDS, NAMES, PRODUCTS, TOPICS

REVIEWS = [
    "the {product} was {adjective} .",
    "i bought this {product} and it is {adjective} .",
    "what {article} {adjective} {product} !",
    "my friend says the {product} is {adjective} .",
    "we tried the {product} last week . it was {adjective} .",
    "honestly , {article} {adjective} {product} from start to end .",
    "{name} gave me a {product} . it seems {adjective} to me .",
]

ARTICLES = [
    "{name} talked about the {a} and the {b} .",
    "the {a} was near the {b} and {name} saw the {c} .",
    "everyone liked the {a} , but the {b} was late .",
    "yesterday the {a} changed because of the {b} .",
    "a report about the {a} , the {b} and the {c} .",
]

MESSAGES = [
    "i feel {feeling} about the {product} today .",
    "{name} was {feeling} all day in {city} .",
    "the {product} from {name} makes me {feeling} !",
    "i am so {feeling} about the {product} .",
    "{name} is {feeling} because of the {product} .",
    "on {day} {name} looked {feeling} to me .",
    "since {day} i am {feeling} , dear {name} .",
]


def review(rng: Random, adjective: str) -> str:
    """A sentence in which a person calls a product `adjective`."""
    article = "an" if adjective[0] in "aeiou" else "a"
    return rng.choice(REVIEWS).format(
        adjective=adjective, article=article, product=rng.choice(PRODUCTS), name=rng.choice(NAMES)
    )


def article(rng: Random, topic: str) -> tuple[str, set[str]]:
    """A sentence about a topic, and the topic's words that it may use."""
    a, b, c = rng.sample(TOPICS[topic], 3)
    return rng.choice(ARTICLES).format(name=rng.choice(NAMES), a=a, b=b, c=c), {a, b, c}


def message(rng: Random, feeling: str) -> str:
    """A sentence in which a person has the feeling."""
    return rng.choice(MESSAGES).format(
        feeling=feeling,
        name=rng.choice(NAMES),
        product=rng.choice(PRODUCTS),
        city=rng.choice(KINDS["city"]),
        day=rng.choice(DAYS),
    )


def record(rng: Random, fields: Sequence[str]) -> dict[str, str]:
    """A value for each of the fields (name, age, city, job, color, day), in shuffled order."""
    values = {
        "name": rng.choice(NAMES),
        "age": str(rng.randint(10, 99)),
        "city": rng.choice(KINDS["city"]),
        "job": rng.choice(KINDS["job"]),
        "color": rng.choice(KINDS["color"]),
        "day": rng.choice(DAYS),
    }
    return {field: values[field] for field in rng.sample(list(fields), len(fields))}


def written(fields: dict[str, str]) -> str:
    """A record as text: `name : anna ; city : oslo`."""
    return " ; ".join(f"{field} : {value}" for field, value in fields.items())


def menu(rng: Random, right: str, wrong: Sequence[str]) -> tuple[str, str]:
    """Options in shuffled order, `A ) ... B ) ...`, and the letter of the right one."""
    options = rng.sample([right, *wrong], 1 + len(wrong))
    text = " ".join(f"{letter} ) {option}" for letter, option in zip("ABCD", options, strict=False))
    return text, "ABCD"[options.index(right)]


def listed(words: Sequence[str]) -> str:
    """Words as a list: `cat , tea , saw`."""
    return " , ".join(words)


def any_words(rng: Random, count: int) -> list[str]:
    """Different words of any kinds."""
    chosen = dict[str, None]()
    while len(chosen) < count:
        chosen[rng.choice(KINDS[rng.choice(list(KINDS))])] = None
    return list(chosen)
