"""Settings that make a run fit: what to change if its memory does not suffice."""

from collections.abc import Callable, Iterator
from typing import Any

from sapo_lite.recipe import Recipe
from sapo_lite.support.messages import as_toml

# A change of a recipe, as `--set` takes it: "section.key=value".
Change = str


def changes_that_fit(recipe: Recipe, fits: Callable[[Recipe], bool]) -> tuple[list[Change], bool]:
    """Changes that make the recipe fit, in the order of docs/gpus.md; and whether they suffice.

    Micro-batches are made smaller by the run itself, so they are not among them.
    """
    changes: dict[str, Any] = {}
    for key, value in _steps(recipe):
        if fits(_changed(recipe, changes)):
            break
        changes[key] = value
    return [f"{key}={as_toml(value)}" for key, value in changes.items()], fits(_changed(recipe, changes))


def _steps(recipe: Recipe) -> Iterator[tuple[str, Any]]:
    """Settings to change one after another; one that comes again replaces its earlier value."""
    if not recipe.training.gradient_checkpointing:
        yield "training.gradient_checkpointing", True
    if recipe.model.quantization == "none":
        yield "model.quantization", "nf4"
    tokens = recipe.model.max_source_tokens
    while tokens > 256:
        tokens //= 2
        yield "model.max_source_tokens", tokens


def _changed(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    for place, value in changes.items():
        section, key = place.split(".")
        part = getattr(recipe, section).model_copy(update={key: value})
        recipe = recipe.model_copy(update={section: part})
    return recipe
