"""Held-out tasks that choose: one word, name or option of those in the input."""

from random import Random

from sapo_lite.lab.grammar import Phrasing
from sapo_lite.lab.heldout.task import task
from sapo_lite.lab.sentences import article, listed, menu
from sapo_lite.lab.words import KINDS, NAMES, TOPICS
from sapo_lite.types import Example


@task(
    Phrasing(
        "list",
        [
            "[find|pick|choose] the odd one out",
            "which [word|item] does not [fit|belong] ?",
            "the [word|item] that does not belong",
            "[find|pick|choose] the [word|item] that is different from the others",
            "the [word|item] of a different [kind|type]",
            "which of them is the stranger ?",
            "expose the intruder",
            "the misfit among them",
        ],
    )
)
def odd_one_out(rng: Random) -> Example:
    """Three words of one kind and one of another -> the other one."""
    common, other = rng.sample(list(KINDS), 2)
    odd = rng.choice(KINDS[other])
    words = [*rng.sample(KINDS[common], 3), odd]
    return Example(listed(rng.sample(words, len(words))), odd)


# Forms of a title. The right title has the article's topic, but none of the same topic words.
TITLES = ["the {} story", "all about the {}", "a day with the {}", "our {}", "the secret of the {}"]


@task(
    Phrasing(
        "article",
        [
            "[choose|pick|select] the [best|right] title",
            "which title fits the article ?",
            "the letter of the [best|right] title",
            "[choose|pick|select] the option that is the title of the article",
            "match the article with its headline",
            "which headline would you print above it ?",
            "the caption that suits this story",
            "crown the piece with a heading",
        ],
        labels=("A", "B", "C"),
    )
)
def title(rng: Random) -> Example:
    """A sentence and three titles -> the letter of the title on the same topic."""
    topic, *others = rng.sample(list(TOPICS), 3)
    text, used = article(rng, topic)
    words = [rng.choice([word for word in TOPICS[topic] if word not in used])]
    words += [rng.choice(TOPICS[other]) for other in others]
    titles = [rng.choice(TITLES).format(word) for word in words]
    options, letter = menu(rng, titles[0], titles[1:])
    return Example(f"{text}\n{options}", letter)


@task(
    Phrasing(
        "list",
        [
            "name the [oldest|older] person",
            "which person is the oldest ?",
            "the person with the highest age",
            "find the person who is the oldest",
            "who is the oldest ?",
            "compare the ages and name the eldest",
            "the name of the senior",
            "who was born before all the others ?",
        ],
    )
)
def oldest(rng: Random) -> Example:
    """Two or three people with different ages -> the name of the oldest."""
    count = rng.randint(2, 3)
    ages = dict(zip(rng.sample(NAMES, count), rng.sample(range(10, 100), count), strict=True))
    facts = listed([f"{name} : {age} years" for name, age in ages.items()])
    return Example(facts, max(ages, key=ages.__getitem__))


@task(
    Phrasing(
        "poll",
        [
            "find the winner of the vote",
            "which [word|item] wins the vote ?",
            "the winner of the vote",
            "name what most people want",
            "what do most of the people want ?",
            "the choice with the most votes",
            "announce the result of the election",
            "the darling of the majority",
        ],
    )
)
def winner(rng: Random) -> Example:
    """Three to five people and what each of them wants -> what two or more of them want."""
    kind = rng.choice(["drink", "fruit", "sport", "color"])
    most, *others = rng.sample(KINDS[kind], rng.randint(2, 4))
    votes = rng.sample([most, most, *others], 2 + len(others))
    voters = rng.sample(NAMES, len(votes))
    return Example(listed([f"{name} : {vote}" for name, vote in zip(voters, votes, strict=True)]), most)


TRIPS = [
    "{name} left {start} and went to {end} by {vehicle} .",
    "{name} took the {vehicle} from {start} to {end} .",
    "after a year in {start} {name} sailed off to {end} .",
    "the {vehicle} to {end} leaves {start} with {name} .",
    "on the way to {end} {name} thought of {start} .",
]


@task(
    Phrasing(
        "text",
        [
            "find the destination in the text",
            "what is the destination of the trip ?",
            "the destination of the person",
            "which city does the person go to ?",
            "name the city where the trip ends",
            "the place of arrival",
            "whither does the traveller go ?",
            "pinpoint the far end of the journey",
        ],
    )
)
def destination(rng: Random) -> Example:
    """A sentence about a trip from one city to another -> the city where it ends."""
    start, end = rng.sample(KINDS["city"], 2)
    text = rng.choice(TRIPS)
    name, vehicle = rng.choice(NAMES), rng.choice(KINDS["vehicle"])
    return Example(text.format(name=name, start=start, end=end, vehicle=vehicle), end)
