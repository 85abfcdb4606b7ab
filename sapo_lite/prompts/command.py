"""What `sapo-lite paraphrase` does: an instruction, or the tasks of a recipe, to pools of candidates."""

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
    from sapo_lite.prompts.progress import PromptProgress

DEFAULT_MODEL = "qwen3:8b"  # in Ollama: that of the recipes


@dataclass(frozen=True)
class Request:
    """The command line. `settings` are keys of the section `paraphrase` that were given as options."""

    what: str
    labels: Sequence[str]
    settings: Mapping[str, Any]
    overrides: Sequence[str]
    data: Path | None
    seed: int | None
    fresh: bool
    pull: bool


def paraphrase(request: Request, progress: "PromptProgress") -> list[Pool]:
    """A pool for each task.

    Raises:
        SapoLiteError: anything a user can put right; the message says how.
    """
    if (count := request.settings.get("count", 1)) < 1:
        raise RecipeError(f"--count: expected a whole number of at least 1, found {count}")
    return _of_recipe(request, progress) if _is_recipe(request.what) else _of_instruction(request, progress)


def _is_recipe(what: str) -> bool:
    """Whether a recipe is meant: a name or a path rather than a sentence, English or Chinese."""
    return what.endswith(".toml") or re.fullmatch(r"[a-z0-9_./~-]*[a-z0-9_]", what) is not None


def _of_instruction(request: Request, progress: "PromptProgress") -> list[Pool]:
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
        progress.notice(f"not in the instruction, so not asked for: {', '.join(map(quoted, unnamed))}")
    around = SourceContext(progress, seed=request.seed or 0, fresh=request.fresh, pull=request.pull)
    return make_pools([task], config, around)


def _of_recipe(request: Request, progress: "PromptProgress") -> list[Pool]:
    """As the run will make them: with the same settings and seed they are then there already."""
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
    around = SourceContext(progress, seed=recipe.seed, fresh=request.fresh, pull=request.pull, own=own)
    return make_pools(tasks, recipe.paraphrase, around)


def as_text(pools: Sequence[Pool]) -> str:
    """The texts, one a line, the original first: a file of prompts for `sapo-lite score`.

    Line breaks within a text become spaces. Several tasks stand under their names.
    """
    blocks = [[" ".join(candidate.text.split()) for candidate in pool.candidates] for pool in pools]
    if len(pools) > 1:
        blocks = [[f"# {pool.task}", *block] for pool, block in zip(pools, blocks, strict=True)]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def as_json(pools: Sequence[Pool]) -> str:
    """A candidates file, which `paraphrase.backend = "file"` and `sapo-lite score` read."""
    value = pool_to_json(pools[0]) if len(pools) == 1 else {"pools": [pool_to_json(pool) for pool in pools]}
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
