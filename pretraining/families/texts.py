"""Sentences: their content, their topic and their kind."""

from random import Random

from pretraining.family import Sample, family
from pretraining.frames import YES_NO, check, classify, extract
from sapo_lite.lab.sentences import article
from sapo_lite.lab.words import DAYS, KINDS, NAMES, PRODUCTS, TOPICS

TEXT = "[text|sentence]"
NEWS = "[article|text|news]"

EVENTS = [
    "{name} the {job} bought {number} {color} {item} pieces in {city} .",
    "in {city} , {name} saw a {color} {item} and paid {number} coins to a {job} .",
    "the {job} from {city} gave {name} a {color} {item} after {number} days .",
    "after {number} years {name} left {city} with a {job} and a {color} {item} .",
]


def _event(rng: Random) -> tuple[str, dict[str, str]]:
    """A sentence with a name, job, number, color, item and city in it."""
    parts = {
        "name": rng.choice(NAMES),
        "job": rng.choice(KINDS["job"]),
        "number": str(rng.randint(2, 30)),
        "color": rng.choice(KINDS["color"]),
        "item": rng.choice(KINDS["vehicle"] + KINDS["clothing"]),
        "city": rng.choice(KINDS["city"]),
    }
    return rng.choice(EVENTS).format(**parts), parts


def _part_of_event(rng: Random, part: str) -> Sample:
    text, parts = _event(rng)
    return Sample(text, parts[part])


@family(extract("[name|person]", TEXT, "who is the text about ?"))
def name(rng: Random) -> Sample:
    return _part_of_event(rng, "name")


@family(extract("[city|place|town]", TEXT, "where does it happen ?"))
def city(rng: Random) -> Sample:
    return _part_of_event(rng, "city")


@family(extract("[color|colour]", TEXT))
def color(rng: Random) -> Sample:
    return _part_of_event(rng, "color")


@family(extract("[number|figure]", TEXT, "how many does it say ?"))
def number(rng: Random) -> Sample:
    return _part_of_event(rng, "number")


@family(extract("[job|profession|occupation]", TEXT))
def job(rng: Random) -> Sample:
    return _part_of_event(rng, "job")


@family(extract("[item|thing]", TEXT))
def item(rng: Random) -> Sample:
    return _part_of_event(rng, "item")


def _trip(rng: Random) -> tuple[str, dict[str, str]]:
    """A sentence about a person who stays in a city."""
    parts = {
        "name": rng.choice(NAMES),
        "city": rng.choice(KINDS["city"]),
        "vehicle": rng.choice(KINDS["vehicle"]),
        "day": rng.choice(DAYS),
    }
    text = rng.choice(
        [
            "{name} took the {vehicle} in {city} on {day} .",
            "on {day} {name} came by {vehicle} from {city} .",
            "the {vehicle} from {city} brought {name} on {day} .",
            "since {day} {name} drives a {vehicle} through {city} .",
        ]
    )
    return text.format(**parts), parts


@family(extract("[vehicle|means of travel]", TEXT, "how does the person travel ?"))
def vehicle(rng: Random) -> Sample:
    text, parts = _trip(rng)
    return Sample(text, parts["vehicle"])


@family(extract("[day|date]", TEXT, "when does it happen ?"))
def day(rng: Random) -> Sample:
    text, parts = _trip(rng)
    return Sample(text, parts["day"])


def _start_and_end(rng: Random) -> tuple[str, str]:
    """A sentence with two cities, and the one where it starts."""
    start, end = rng.sample(KINDS["city"], 2)
    who = rng.choice(NAMES)
    text = rng.choice(
        [
            f"{who} walked from {start} as far as {end} .",
            f"{who} moved to {end} from {start} .",
            f"born in {start} , {who} now lives in {end} .",
            f"a letter came to {end} , {who} had sent it from {start} .",
        ]
    )
    return text, start


@family(extract("[start|origin]", TEXT, "where does it [begin|start] ?", "which city came first ?"))
def start(rng: Random) -> Sample:
    return Sample(*_start_and_end(rng))


@family(classify("topic", NEWS, tuple(TOPICS), f"what is the {NEWS} about ?", f"the subject of the {NEWS}"))
def topic(rng: Random) -> Sample:
    answer = rng.choice(list(TOPICS))
    return Sample(article(rng, answer)[0], answer)


@family(check(NEWS, "the topic is {topic}", f"is the {NEWS} about {{topic}} ?"))
def topic_is(rng: Random) -> Sample:
    asked = rng.choice(list(TOPICS))
    yes = rng.random() < 0.5
    real = asked if yes else rng.choice([topic for topic in TOPICS if topic != asked])
    return Sample(article(rng, real)[0], YES_NO[not yes], {"topic": asked})


@family(classify("subject", "word", tuple(TOPICS), "where does the word belong ?"))
def topic_of_word(rng: Random) -> Sample:
    answer = rng.choice(list(TOPICS))
    return Sample(rng.choice(TOPICS[answer]), answer)


@family(classify("tense", "sentence", ("past", "present", "future"), "when does it happen ?"))
def tense(rng: Random) -> Sample:
    past, present, future = rng.choice(
        [
            ("liked", "likes", "will like"),
            ("used", "uses", "will use"),
            ("wanted", "wants", "will want"),
            ("opened", "opens", "will open"),
            ("sold", "sells", "will sell"),
        ]
    )
    verbs = {"past": past, "present": present, "future": future}
    answer = rng.choice(list(verbs))
    return Sample(f"{rng.choice(NAMES)} {verbs[answer]} the {rng.choice(PRODUCTS)} .", answer)


@family(classify("type", "sentence", ("question", "statement", "command"), "what type of sentence is it ?"))
def sentence_type(rng: Random) -> Sample:
    who, thing, city = rng.choice(NAMES), rng.choice(PRODUCTS), rng.choice(KINDS["city"])
    sentences = {
        "question": [
            f"where is the {thing} of {who} ?",
            f"does {who} like {city} ?",
            f"is the {thing} here ?",
        ],
        "statement": [f"{who} has a {thing} .", f"the {thing} is in {city} .", f"{who} lives in {city} ."],
        "command": [f"give {who} the {thing} !", f"go to {city} now !", f"open the {thing} , {who} !"],
    }
    answer = rng.choice(list(sentences))
    return Sample(rng.choice(sentences[answer]), answer)


@family(classify("style", "[greeting|text]", ("formal", "casual")))
def style(rng: Random) -> Sample:
    who, day = rng.choice(NAMES), rng.choice(DAYS)
    formal = [
        f"dear {who} , i am writing to you about {day} .",
        f"we kindly request the answer of {who} by {day} .",
        f"yours faithfully , {who} .",
    ]
    casual = [f"hey {who} , what is up ?", f"see ya on {day} , {who} !", f"lol {who} , {day} was fun !"]
    answer = rng.choice(["formal", "casual"])
    return Sample(rng.choice(formal if answer == "formal" else casual), answer)


@family(extract("speaker", TEXT, "who says it ?", "who is speaking ?"))
def speaker(rng: Random) -> Sample:
    who, other = rng.sample(NAMES, 2)
    thing = rng.choice(PRODUCTS)
    text = rng.choice(
        [
            f"{who} said : {other} has the {thing} .",
            f"give {other} the {thing} , said {who} .",
            f"{who} asked {other} : where is the {thing} ?",
            f"i like the {thing} of {other} , {who} told us .",
        ]
    )
    return Sample(text, who)
