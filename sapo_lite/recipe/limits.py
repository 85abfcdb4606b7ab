"""Amounts of which another setting is the limit: a lowered limit lowers them, and the run says so."""

from typing import Any

from pydantic import BaseModel

from sapo_lite.recipe.faults import value_or_default
from sapo_lite.recipe.source import RecipeSource

# An amount, and the setting that it cannot be above: so the lower number is what the recipe comes to.
_LIMITS = {
    "scoring.score_examples": "sequence.train_examples",
    "rewrite.batch_size": "rewrite.prompts",
    "training.micro_batch_size": "training.batch_size",
}


def lower_to_limits(source: RecipeSource, root: type[BaseModel]) -> tuple[str, ...]:
    """Lower every amount to its limit. Returns a sentence for each that was written, not left to its default.

    What is no number is left alone: it is refused where it stands.
    """
    notices = []
    for key, of in _LIMITS.items():
        amount, limit = (value_or_default(name, root, source) for name in (key, of))
        if not (_is_count(amount) and _is_count(limit) and amount > limit):
            continue
        if source.value(key) is not None:
            notices.append(f"{key} is {limit} instead of {amount}: {of} is {limit}")
        source.put(key, limit)
    return tuple(notices)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1
