"""The lab's world: six small tasks in a tiny English, generated from a seed.

A task is a function that draws one `Example` from a `random.Random`; `TASKS` lists them all.
The embedded backbone was taught this spelling and these words on *other* tasks: lower case, and
one space around every word and punctuation mark. It has never seen the six tasks themselves.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from random import Random

from sapo_lite.types import Example

CATEGORIES = {
    "animal": "cat dog horse cow sheep goat pig lion tiger bear wolf fox rabbit mouse duck frog".split(),
    "fruit": "apple pear plum grape lemon mango peach cherry banana orange melon fig kiwi lime".split(),
    "color": "red blue green yellow black white brown purple pink grey golden silver".split(),
    "city": "paris london rome berlin madrid oslo cairo tokyo delhi lima boston vienna dublin athens".split(),
    "tool": "hammer saw drill wrench pliers shovel rake axe chisel screwdriver ladder clamp".split(),
    "vehicle": "car bus train truck bike boat plane tram van taxi ship scooter".split(),
    "job": "doctor teacher nurse farmer pilot lawyer cook driver baker painter soldier judge".split(),
    "sport": "tennis football hockey golf rugby boxing rowing cricket judo skiing running swimming".split(),
    "instrument": "piano guitar violin flute drum harp trumpet cello organ banjo horn oboe".split(),
    "clothing": "shirt coat hat sock shoe glove scarf dress skirt belt jacket boot".split(),
    "furniture": "chair table sofa bed desk shelf stool bench cabinet wardrobe couch drawer".split(),
    "drink": "tea coffee milk juice water wine beer cider cocoa soda".split(),
}

NAMES = (
    "anna mary lucy emma julia nina sara kate rosa eva clara helen "
    "tom john peter mark paul leo max david oscar simon hugo felix"
).split()

PRODUCTS = "phone film book hotel meal camera game lamp chair song course app".split()

ADJECTIVES_BY_STARS = {
    1: "terrible awful horrible dreadful disgusting".split(),
    2: "bad poor weak boring disappointing".split(),
    3: "average okay ordinary acceptable".split(),
    4: "good nice pleasant solid enjoyable".split(),
    5: "amazing perfect wonderful fantastic brilliant".split(),
}

REVIEWS = [
    "the {product} was {adjective} .",
    "i bought this {product} and it is {adjective} .",
    "what a {adjective} {product} !",
    "my friend says the {product} is {adjective} .",
    "we tried the {product} last week . it was {adjective} .",
    "honestly , a {adjective} {product} from start to end .",
    "{name} gave me a {product} . it seems {adjective} to me .",
]

# The toy language "zumi": what the backbone knows of it is exactly this table.
# fmt: off
ZUMI = {
    "cat": "galos", "dog": "fesu", "horse": "meko", "bread": "nedu", "water": "peguk",
    "tree": "levos", "house": "dedus", "sun": "vopok", "moon": "dodin", "fish": "tinek",
    "bird": "divu", "stone": "toren", "fire": "gozu", "river": "bufek", "child": "dodis",
    "woman": "lodas", "man": "nuko", "king": "zaso", "road": "fires", "night": "poguk",
    "day": "ginik", "milk": "femuk", "apple": "sodo", "book": "disa", "door": "papon",
    "hand": "kuri", "eye": "voto", "star": "soda", "snow": "fanos", "rain": "supak",
}
# fmt: on

TOPIC_WORDS = {
    "sports": "team match goal player coach league race score stadium trophy".split(),
    "food": "recipe kitchen soup dinner chef spice restaurant sauce bread cake".split(),
    "travel": "airport hotel ticket luggage tourist beach passport flight island map".split(),
    "weather": "rain storm cloud snow wind sunshine fog thunder forecast temperature".split(),
    "music": "concert band singer melody album orchestra song guitar stage choir".split(),
    "science": "experiment planet atom telescope laboratory theory energy chemist robot cell".split(),
}

ARTICLES = [
    "{name} talked about the {a} and the {b} .",
    "the {a} was near the {b} and {name} saw the {c} .",
    "everyone liked the {a} , but the {b} was late .",
    "yesterday the {a} changed because of the {b} .",
    "a report about the {a} , the {b} and the {c} .",
]

TITLES = {
    "sports": ["the big match", "a great player", "the final race"],
    "food": ["a new recipe", "dinner in the kitchen", "the best soup"],
    "travel": ["a long flight", "the island hotel", "lost luggage"],
    "weather": ["storm and rain", "snow tomorrow", "a sunny forecast"],
    "music": ["the new album", "a concert night", "singer on stage"],
    "science": ["a new planet", "the atom experiment", "inside the laboratory"],
}

FEELINGS = {
    "joy": "happy cheerful delighted glad thrilled".split(),
    "anger": "angry furious annoyed mad outraged".split(),
    "sadness": "sad lonely heartbroken gloomy miserable".split(),
    "fear": "afraid scared terrified nervous worried".split(),
}

MESSAGES = [
    "i feel {feeling} today .",
    "{name} was {feeling} all day .",
    "this makes me {feeling} !",
    "i am so {feeling} about the {product} .",
]


def stars(rng: Random) -> Example:
    """A review of a product -> how many stars it gives, 1 to 5."""
    count = rng.randint(1, 5)
    adjective, product, name = rng.choice(ADJECTIVES_BY_STARS[count]), rng.choice(PRODUCTS), rng.choice(NAMES)
    review = rng.choice(REVIEWS).format(adjective=adjective, product=product, name=name)
    return Example(review, str(count))


def odd_one_out(rng: Random) -> Example:
    """Three words of one category and one of another -> the other one."""
    common, other = rng.sample(list(CATEGORIES), 2)
    words = rng.sample(CATEGORIES[common], 3)
    odd = rng.choice(CATEGORIES[other])
    words.append(odd)
    rng.shuffle(words)
    return Example(" , ".join(words), odd)


def translation(rng: Random) -> Example:
    """`zumi word = english word` -> whether that is the right translation."""
    english = rng.choice(list(ZUMI))
    right = rng.random() < 0.5
    shown = english if right else rng.choice([word for word in ZUMI if word != english])
    return Example(f"{ZUMI[english]} = {shown}", "yes" if right else "no")


def title(rng: Random) -> Example:
    """A sentence and three titles -> the letter of the title on the same topic."""
    topics = rng.sample(list(TOPIC_WORDS), 3)
    options = [rng.choice(TITLES[topic]) for topic in topics]
    right = options[0]
    rng.shuffle(options)
    a, b, c = rng.sample(TOPIC_WORDS[topics[0]], 3)
    name = rng.choice(NAMES)
    article = rng.choice(ARTICLES).format(name=name, a=a, b=b, c=c)
    menu = " ".join(f"{letter} ) {option}" for letter, option in zip("ABC", options, strict=True))
    return Example(f"{article}\n{menu}", "ABC"[options.index(right)])


def oldest(rng: Random) -> Example:
    """Two or three people with different ages -> the name of the oldest."""
    count = rng.randint(2, 3)
    names = rng.sample(NAMES, count)
    ages = rng.sample(range(10, 100), count)
    people = " , ".join(f"{name} : {age} years" for name, age in zip(names, ages, strict=True))
    return Example(people, names[ages.index(max(ages))])


def mood(rng: Random) -> Example:
    """Someone says how they feel -> `bright` for joy, `dark` for any other feeling."""
    emotion = rng.choice(["joy", "joy", "joy", "anger", "sadness", "fear"])  # as many bright as dark
    feeling, name, product = rng.choice(FEELINGS[emotion]), rng.choice(NAMES), rng.choice(PRODUCTS)
    message = rng.choice(MESSAGES).format(feeling=feeling, name=name, product=product)
    return Example(message, "bright" if emotion == "joy" else "dark")


@dataclass(frozen=True)
class LabTask:
    """How to draw examples of a task, and its labels (none where the answer is free).

    `scarce` names the labels that have too few inputs to keep train and test apart.
    """

    generate: Callable[[Random], Example]
    labels: tuple[str, ...] = ()
    scarce: tuple[str, ...] = ()


TASKS: dict[str, LabTask] = {
    "stars": LabTask(stars, labels=("1", "2", "3", "4", "5")),
    "odd_one_out": LabTask(odd_one_out),
    "translation": LabTask(translation, labels=("yes", "no"), scarce=("yes",)),
    "title": LabTask(title, labels=("A", "B", "C")),
    "oldest": LabTask(oldest),
    "mood": LabTask(mood, labels=("bright", "dark")),
}


def examples(task: str, count: int, seed: int | str, avoid: Collection[str] = frozenset()) -> list[Example]:
    """Draw `count` examples of a task; none of them has an input in `avoid`, scarce labels aside.

    Draws are independent, so an input may come twice; the same seed always draws the same list.
    """
    rng = Random(f"{task}/{seed}")
    return [_draw(task, rng, avoid) for _ in range(count)]


def _draw(task: str, rng: Random, avoid: Collection[str], tries: int = 1000) -> Example:
    """One example; an input to avoid is replaced by one with the same answer, to keep the balance."""
    lab_task = TASKS[task]
    first = lab_task.generate(rng)
    if first.input not in avoid or first.answer in lab_task.scarce:
        return first
    for _ in range(tries):
        again = lab_task.generate(rng)
        if again.answer == first.answer and again.input not in avoid:
            return again
    raise ValueError(
        f"lab task {task!r}: expected a new input with the answer {first.answer!r}, found none in {tries} "
        "draws; give the task more inputs, draw fewer examples, or list that answer as `scarce`"
    )
