"""The families that the backbones are pretrained on. A module is a subject; a function, a family.

To add one, write a function from a `random.Random` to a `Sample` in the module it fits, and decorate it
with its phrases, usually a frame of `pretraining.frames`:

    @family(pick("the longest word", "is the longest"))
    def longest_word(rng: Random) -> Sample:
        words = any_words(rng, 3)
        ...
        return Sample(listed(words), max(words, key=len))

Then train anew (`python -m pretraining`). No family may be a held-out task or use an instruction of one: a
test compares them.
"""

# isort: off
# The order of the families decides the draws of a seed, and so vocabulary and weights.
from pretraining.families import (
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
from pretraining.family import FAMILIES
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
