"""Checkers of the lab's answers: from what a model reads alone, without the generators' tables.

A held-out task's checker takes the input; a pretraining family's takes the input and the slots of its
instruction ({"kind": "fruit"}).
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping

# One kind a line.
KINDS = """
animal cat dog horse cow sheep goat pig lion tiger bear wolf fox rabbit mouse duck frog
fruit apple pear plum grape lemon mango peach cherry banana orange melon fig kiwi lime
color red blue green yellow black white brown purple pink grey golden silver
city paris london rome berlin madrid oslo cairo tokyo delhi lima boston vienna dublin athens
tool hammer saw drill wrench pliers shovel rake axe chisel screwdriver ladder clamp
vehicle car bus train truck bike boat plane tram van taxi ship scooter
job doctor teacher nurse farmer pilot lawyer cook driver baker painter soldier judge
sport tennis football hockey golf rugby boxing rowing cricket judo skiing running swimming
instrument piano guitar violin flute drum harp trumpet cello organ banjo horn oboe
clothing shirt coat hat sock shoe glove scarf dress skirt belt jacket boot
furniture chair table sofa bed desk shelf stool bench cabinet wardrobe couch drawer
drink tea coffee milk juice water wine beer cider cocoa soda
""".strip().split("\n")

STAR_WORDS = {
    "1": {"terrible", "awful", "horrible", "dreadful", "disgusting"},
    "2": {"bad", "poor", "weak", "boring", "disappointing"},
    "3": {"average", "okay", "ordinary", "acceptable", "passable"},
    "4": {"good", "nice", "pleasant", "solid", "enjoyable"},
    "5": {"amazing", "perfect", "wonderful", "fantastic", "brilliant"},
}

DICTIONARY = """
galos cat fesu dog meko horse nedu bread peguk water levos tree dedus house vopok sun dodin moon
tinek fish divu bird toren stone gozu fire bufek river dodis child lodas woman nuko man zaso king
firan road poguk night ginik day femuk milk sodo apple disa book papon door kuri hand voto eye
lemip star fanos snow supak rain
""".split()
ENGLISH = dict(zip(DICTIONARY[::2], DICTIONARY[1::2], strict=True))

TOPICS = {
    "sports": "team match goal player coach league race score stadium trophy",
    "food": "recipe kitchen soup dinner chef spice restaurant sauce bread cake",
    "travel": "airport suitcase ticket luggage tourist beach passport flight island map",
    "weather": "rain storm cloud snow wind sunshine fog thunder forecast temperature",
    "music": "concert band singer melody album orchestra song chorus stage choir",
    "science": "experiment planet atom telescope laboratory theory energy chemist robot cell",
}


def kind_of(word: str) -> str:
    (kind,) = [line.split()[0] for line in KINDS if word in line.split()[1:]]
    return kind


def topic_of(text: str) -> str:
    """The topic that most words of the text are of; other topics must have none, "bread" aside."""
    found = Counter(topic for topic, words in TOPICS.items() for w in text.split() if w in words.split())
    (topic,) = found
    return topic


def options(text: str) -> dict[str, str]:
    """`A ) tea B ) saw` -> {"A": "tea", "B": "saw"}"""
    return {m[1]: m[2] for m in re.finditer(r"([A-D]) \) (.+?)(?= [A-D] \) |$)", text)}


def numbers(text: str) -> dict[str, int]:
    """`anna : 34 years , tom : 20 years` -> {"anna": 34, "tom": 20}"""
    found = {name: int(number) for name, number in re.findall(r"(\w+) : (\d+) \w+", text)}
    assert len(found) == text.count(" : ") >= 2
    assert len(set(found.values())) == len(found)
    return found


# Held-out tasks


def grade(text: str) -> int:
    (count,) = [count for count, adjectives in STAR_WORDS.items() if adjectives & set(text.split())]
    return int(count)


def stars(text: str) -> str:
    return str(1 + (grade(text) > 2) + (grade(text) > 3))


def odd_one_out(text: str) -> str:
    kinds = Counter(map(kind_of, text.split(" , ")))
    (odd,) = [word for word in text.split(" , ") if kinds[kind_of(word)] == 1]
    return odd


def translation(text: str) -> str:
    zumi, english = text.split(" = ")
    return "yes" if [ENGLISH[word] for word in zumi.split()] == english.split() else "no"


def title(text: str) -> str:
    article, menu = text.split("\n")
    (letter,) = [letter for letter, title in options(menu).items() if topic_of(title) == topic_of(article)]
    return letter


def oldest(text: str) -> str:
    by_age = {age: name for name, age in numbers(text).items()}
    return by_age[sorted(by_age)[-1]]


def mood(text: str) -> str:
    return "bright" if re.search(r"\b(happy|cheerful|delighted|glad|thrilled)\b", text) else "dark"


def manners(text: str) -> str:
    return "polite" if re.search(r"\b(please|kindly|grateful|thank)\b", text) else "rude"


def winner(text: str) -> str:
    ((most, count), *others) = Counter(vote.split(" : ")[1] for vote in text.split(" , ")).most_common()
    assert count == 2
    assert all(count == 1 for _, count in others)
    return most


def destination(text: str) -> str:
    (city,) = re.findall(r"(?:to|off to) (\w+)(?= by| \.| leaves| \w+ thought)", text)
    return city


def guests(text: str) -> str:
    # As many names as there are separators, and one.
    named = re.sub(r"^on \w+ |[^,]*welcomed ", "", text)
    return str(named.count(" , ") + named.count(" and ") + 1)


def swap(text: str) -> str:
    words = text.split()
    return " ".join([words.pop(), *words[1:], words[0]])


def invitation(text: str) -> str:
    name, city, day = (re.search(rf"\b{field} : (\w+)", text)[1] for field in ("name", "city", "day"))  # type: ignore[index]
    return f"{name} , come to {city} on {day} ."


HELD_OUT: dict[str, Callable[[str], str]] = {
    check.__name__: check
    for check in (
        stars,
        odd_one_out,
        translation,
        title,
        oldest,
        mood,
        manners,
        winner,
        destination,
        guests,
        swap,
        invitation,
    )
}


# Pretraining families


def yes(truth: bool) -> str:
    return "yes" if truth else "no"


Slots = Mapping[str, str]

FAMILIES: dict[str, Callable[[str, Slots], str]] = {
    "sentiment": lambda text, _: "positive" if grade(text) > 3 else "negative",
    "kind": lambda text, _: kind_of(text),
    "word_of_kind": lambda text, slots: next(w for w in text.split(" , ") if kind_of(w) == slots["kind"]),
    "contains_kind": lambda text, slots: yes(slots["kind"] in map(kind_of, text.split(" , "))),
    "all_of_one_kind": lambda text, _: yes(len(set(map(kind_of, text.split(" , ")))) == 1),
    "count_words": lambda text, _: str(text.count(",") + 1),
    "count_different": lambda text, _: str(len(set(text.split(" , ")))),
    "reverse": lambda text, _: " ".join(text.split()[::-1]),
    "without": lambda text, slots: (
        " ".join(
            w for n, w in enumerate(text.split()) if n != "first second third".split().index(slots["place"])
        )
        if slots["place"] != "last"
        else " ".join(text.split()[:-1])
    ),
    "largest": lambda text, _: str(sorted(map(int, text.split(" , ")))[-1]),
    "tallest": lambda text, _: max((n, name) for name, n in numbers(text).items())[1],
    "cheapest": lambda text, _: min((n, name) for name, n in numbers(text).items())[1],
    "topic": lambda text, _: topic_of(text),
    "topic_is": lambda text, slots: yes(topic_of(text) == slots["topic"]),
    "option_of_kind": lambda text, slots: next(
        letter for letter, word in options(text).items() if kind_of(word) == slots["kind"]
    ),
    "option_word_on_topic": lambda text, _: next(
        letter
        for letter, word in options(text.split("\n")[1]).items()
        if topic_of(word) == topic_of(text.split("\n")[0])
    ),
    "to_english": lambda text, _: ENGLISH[text],
    "text_to_english": lambda text, _: " ".join(ENGLISH[word] for word in text.split()),
    "kinds": lambda text, _: " , ".join(map(kind_of, text.split(" , "))),
    "sorted_numbers": lambda text, _: " , ".join(sorted(text.split(" , "), key=int)),
    "field_value": lambda text, slots: dict(f.split(" : ") for f in text.split(" ; "))[slots["field"]],
    "description": lambda text, _: "{name} is a {age} year old {job} from {city} .".format(
        **dict(f.split(" : ") for f in text.split(" ; "))
    ),
}
