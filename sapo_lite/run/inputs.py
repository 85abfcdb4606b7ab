"""What a run reads besides recipe and data: the model and the file of candidates, told by their content."""

import contextlib
from typing import TYPE_CHECKING

from sapo_lite.errors import RecipeError
from sapo_lite.model.identity import model_identity
from sapo_lite.run.folder import Inputs
from sapo_lite.support.files import sha256

if TYPE_CHECKING:
    from sapo_lite.recipe import Recipe


def inputs_of(recipe: "Recipe") -> Inputs:
    """Hashes of what a run of the recipe reads, by what it is; empty for what is not on this disk yet."""
    found = {f"the model {recipe.model.name}": model_identity(recipe.model.name)}
    if recipe.wants_candidates and "file" in recipe.paraphrase.backend:
        content: dict[str, str] = {}
        with contextlib.suppress(RecipeError, OSError):  # the source of candidates says what is wrong
            content = {"content": sha256(recipe.paraphrase.candidates_file())}
        found[f"the file of candidates {recipe.paraphrase.path}"] = content
    return found
