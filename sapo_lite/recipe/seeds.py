"""Seeds of several runs of one recipe: the option --seeds, and the settings of each seed."""

import json
import random
from collections.abc import Sequence

from sapo_lite.errors import RecipeError


def seed_settings(seed: int, drawn: Sequence[str] | None = None) -> list[str]:
    """Overrides that make the run of a seed from a recipe.

    drawn: tasks of the sequence, if the seed draws their order and examples
    """
    if drawn is None:
        return [f"seed={seed}"]
    order = list(drawn)
    # This string seeds the published runs of benchmarks/evidence: changing it would change their orders.
    random.Random(f"evidence/{seed}").shuffle(order)
    return [f"seed={seed}", f"sequence.draw={seed}", f"sequence.tasks={json.dumps(order)}"]


def seeds_of(text: str) -> tuple[int, ...]:
    """Seeds of an option: "3" is 0, 1, 2; anything else is a list for `seed_list`.

    Raises:
        RecipeError: the text names no seed, or is no list of seeds.
    """
    found = tuple(range(int(text))) if text.isdecimal() else seed_list(text)
    if not found:
        raise RecipeError(f"--seeds: expected at least 1 seed, found {text!r}")
    return found


def seed_list(text: str) -> tuple[int, ...]:
    """Seeds of a list: "0-2,7" is 0, 1, 2, 7. Raises RecipeError for any other text."""
    return number_list(text, "--seeds", "seeds such as 0-9 or 0,3,7")


def number_list(text: str, option: str, expected: str) -> tuple[int, ...]:
    """Numbers of a list: "0-2,7" is 0, 1, 2, 7.

    Raises:
        RecipeError: the text is something else; the message names the option and what was expected.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise RecipeError(f"{option}: expected {expected}, found {text!r}")
        found += range(int(first), int(last or first) + 1)
    return tuple(dict.fromkeys(found))
