"""The families that the backbones are pretrained on. A module is a subject; a function, a family.

To add one, write a function from a `random.Random` to a `Draw` in the module it fits, and decorate it
with a way to ask for it, mostly a frame of `sapo_lite.lab.frames`:

    @family(pick("the longest word", "is the longest"))
    def longest_word(rng: Random) -> Draw:
        words = any_words(rng, 3)
        ...
        return Draw(listed(words), max(words, key=len))

Then train anew (`python -m sapo_lite.lab.pretrain`). No family may be a held-out task, or ask in the
words of one: a test compares them.
"""

# isort: off
# The order of the families decides what a seed draws, and with it vocabulary and weights.
from sapo_lite.lab.families import (
    lists,
    numbers,
    options,
    opinions,
    people,
    records,
    several,
    texts,
    words,
    zumi,
)
from sapo_lite.lab.family import FAMILIES
# isort: on

__all__ = [
    "FAMILIES",
    "lists",
    "numbers",
    "opinions",
    "options",
    "people",
    "records",
    "several",
    "texts",
    "words",
    "zumi",
]
