"""Settings that another setting limits: a lowered limit lowers them too, with a notice."""

from typing import Any

from pydantic import BaseModel

from sapo_lite.recipe.faults import value_or_default
from sapo_lite.recipe.source import RecipeSource

# (setting, its limit): the lower of the two numbers is used.
_LIMITS = {
    "scoring.score_examples": "sequence.train_examples",
    "rewrite.batch_size": "rewrite.prompts",
    "training.micro_batch_size": "training.batch_size",
}


def lower_to_limits(source: RecipeSource, root: type[BaseModel]) -> tuple[str, ...]:
    """Lower every amount to its limit. Returns a notice for each amount that the recipe had set explicitly.

    Values that are not numbers stay: the validation refuses them.
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
