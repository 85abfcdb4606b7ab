"""The command `sapo-lite paraphrase`: pools of candidates for an instruction or for the tasks of a recipe."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapo_lite.data.language import language_of
from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import RecipeError
from sapo_lite.prompts.make import make_pools
from sapo_lite.prompts.pool import Pool, pool_to_json
from sapo_lite.prompts.sources.openers import SourceContext
from sapo_lite.recipe import load_recipe, paraphrase_section
from sapo_lite.support.messages import as_toml, quoted
from sapo_lite.types import Task

if TYPE_CHECKING:
    from sapo_lite.model.backbone import Backbone
    from sapo_lite.support.progress import Display

DEFAULT_MODEL = "qwen3:8b"  # in Ollama: that of the recipes


@dataclass(frozen=True)
class Request:
    """Arguments of the command. `settings` are keys of the section `paraphrase`, given as options."""

    what: str
    labels: Sequence[str]
    settings: Mapping[str, Any]
    overrides: Sequence[str]
    data: Path | None
    seed: int | None
    fresh: bool
    pull: bool


def paraphrase(request: Request, show: "Display") -> list[Pool]:
    """A pool for each task.

    Raises:
        SapoLiteError: a mistake that the user can correct; the message says how.
    """
    if (count := request.settings.get("count", 1)) < 1:
        raise RecipeError(f"--count: expected a whole number of at least 1, found {count}")
    return _of_recipe(request, show) if _is_recipe(request.what) else _of_instruction(request, show)


def _is_recipe(what: str) -> bool:
    """Whether the argument is a recipe (a name or a path) and not an English or Chinese sentence."""
    return what.endswith(".toml") or re.fullmatch(r"[a-z0-9_./~-]*[a-z0-9_]", what) is not None


def _of_instruction(request: Request, show: "Display") -> list[Pool]:
    if request.overrides or request.data:
        raise RecipeError(
            f"--set and --data belong to a recipe; found an instruction, {quoted(request.what)}"
        )
    if not request.what.strip():
        raise RecipeError("expected an instruction or a recipe, found an empty text")
    if any("\ud800" <= character <= "\udfff" for character in request.what):
        raise RecipeError("expected an instruction in UTF-8, found bytes in some other encoding")
    config = paraphrase_section({"model": DEFAULT_MODEL, **request.settings})
    task = Task(
        id="instruction",
        suite="",
        instruction=request.what,
        suffix="",
        labels=tuple(request.labels),
        language=language_of(request.what),
        train=(),
        test=(),
    )
    if unnamed := [label for label in task.labels if label not in task.instruction]:
        show.notice(f"not in the instruction, so not asked for: {', '.join(map(quoted, unnamed))}")
    context = SourceContext(show, seed=request.seed or 0, fresh=request.fresh, pull=request.pull)
    return make_pools([task], config, context)


def _of_recipe(request: Request, show: "Display") -> list[Pool]:
    """Pools as the run will make them: with the same settings and seed, the run finds them in the cache."""
    if request.labels:
        raise RecipeError(
            "--labels belongs to an instruction; the tasks of a recipe have labels of their own"
        )
    given = [f"paraphrase.{key}={as_toml(value)}" for key, value in request.settings.items()]
    seed = [] if request.seed is None else [f"seed={request.seed}"]
    recipe = load_recipe(request.what, [*request.overrides, *given, *seed])
    tasks = load_sequence(recipe.sequence, request.data)

    def load() -> "Backbone":
        from sapo_lite.model.load import load_backbone

        return load_backbone(recipe.model)

    own = (recipe.model, cache(load))
    context = SourceContext(show, seed=recipe.seed, fresh=request.fresh, pull=request.pull, own=own)
    return make_pools(tasks, recipe.paraphrase, context)


def as_text(pools: Sequence[Pool]) -> str:
    """The texts, one a line, the original first: a prompts file for `sapo-lite score`.

    Line breaks within a text become spaces. Several tasks are listed under their names.
    """
    blocks = [[" ".join(candidate.text.split()) for candidate in pool.candidates] for pool in pools]
    if len(pools) > 1:
        blocks = [[f"# {pool.task}", *block] for pool, block in zip(pools, blocks, strict=True)]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def as_json(pools: Sequence[Pool]) -> str:
    """The content of a candidates file, which `paraphrase.backend = "file"` and `sapo-lite score` read."""
    value = pool_to_json(pools[0]) if len(pools) == 1 else {"pools": [pool_to_json(pool) for pool in pools]}
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
