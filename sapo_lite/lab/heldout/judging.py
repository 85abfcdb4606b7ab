"""Held-out tasks that judge a text: one label of a few."""

from random import Random

from sapo_lite.lab.grammar import Phrasing
from sapo_lite.lab.heldout.task import task
from sapo_lite.lab.sentences import message, review
from sapo_lite.lab.words import ADJECTIVES_BY_STARS, FEELINGS, NAMES, PRODUCTS, ZUMI
from sapo_lite.types import Example

REVIEW = "[review|comment|feedback|opinion]"


@task(
    Phrasing(
        "review",
        [
            f"rate the {REVIEW} from 1 to 3 stars",
            f"how many stars does the {REVIEW} give ?",
            f"the number of stars of the {REVIEW}",
            f"what is the rating of the {REVIEW} ?",
            "score the product from 1 to 3",
            "the grade that the customer gives the product",
            f"which score from 1 to 3 would match the {REVIEW} ?",
            "quantify the satisfaction of the client",
        ],
        labels=("1", "2", "3"),
    )
)
def stars(rng: Random) -> Example:
    """A review of a product -> how many stars it gives: 1 if it is bad, 2, or 3 if it is good."""
    count = rng.randint(1, 3)
    grade = rng.choice({1: (1, 2), 2: (3,), 3: (4, 5)}[count])
    return Example(review(rng, rng.choice(ADJECTIVES_BY_STARS[grade])), str(count))


@task(
    Phrasing(
        "pair",
        [
            "decide [whether|if] the translation is [right|correct]",
            "is the translation [right|correct] ?",
            "whether the english words are the meaning of the zumi words",
            "check [whether|if] the words are translated [right|correctly]",
            "do the zumi words mean the english words ?",
            "verify the dictionary entry",
            "the verdict on this translation",
            "might a native zumi speaker agree with the pairing ?",
        ],
        labels=("yes", "no"),
    )
)
def translation(rng: Random) -> Example:
    """`two zumi words = two english words` -> whether these are their translations, or neither is."""
    zumi, others = rng.sample(list(ZUMI), 2), rng.sample(list(ZUMI), 2)
    while set(zumi) & set(others):
        others = rng.sample(list(ZUMI), 2)
    right = rng.random() < 0.5
    shown = zumi if right else others
    return Example(f"{ZUMI[zumi[0]]} {ZUMI[zumi[1]]} = {' '.join(shown)}", "yes" if right else "no")


@task(
    Phrasing(
        "message",
        [
            "decide [whether|if] the mood of the speaker is bright or dark",
            "is the mood of the speaker bright or dark ?",
            "the mood of the message",
            "label the message as bright or dark",
            "what is the spirit of the writer like ?",
            "sort the message by its mood",
            "the temper that the author lets us see",
            "does sunshine or shadow fill this heart ?",
        ],
        labels=("bright", "dark"),
    )
)
def mood(rng: Random) -> Example:
    """Someone says how they feel -> `bright` for joy, `dark` for any other feeling."""
    emotion = rng.choice(["joy", "joy", "joy", "anger", "sadness", "fear"])  # as many bright as dark
    return Example(message(rng, rng.choice(FEELINGS[emotion])), "bright" if emotion == "joy" else "dark")


POLITE = [
    "could you please open the {product} , {name} ?",
    "would you kindly bring {name} the {product} ?",
    "{name} , i would be grateful for the {product} .",
    "may i please see the {product} of {name} ?",
    "thank you , {name} , the {product} is very kind of you .",
]
RUDE = [
    "open the {product} at once , {name} !",
    "give {name} the {product} , you fool !",
    "{name} , hurry up with the {product} !",
    "bring me the {product} of {name} or get lost !",
    "shut up , {name} , and keep your {product} !",
]


@task(
    Phrasing(
        "message",
        [
            "decide [whether|if] the message is polite or rude",
            "is the message polite or rude ?",
            "the manners of the message",
            "label the speaker as polite or rude",
            "what manners does the speaker show ?",
            "classify the tone as polite or rude",
            "the courtesy of this remark",
            "would a butler approve of such words ?",
        ],
        labels=("polite", "rude"),
    )
)
def manners(rng: Random) -> Example:
    """A request or remark -> whether it is polite or rude."""
    polite = rng.random() < 0.5
    text = rng.choice(POLITE if polite else RUDE)
    return Example(
        text.format(product=rng.choice(PRODUCTS), name=rng.choice(NAMES)), "polite" if polite else "rude"
    )
