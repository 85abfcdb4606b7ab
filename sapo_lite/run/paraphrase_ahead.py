"""Candidates made before or without a run: of one instruction, or of the tasks of a recipe."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapo_lite.data.language import language_of
from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import RecipeError
from sapo_lite.prompts.make import make_pools
from sapo_lite.prompts.pool import Pool
from sapo_lite.prompts.progress import PromptProgress
from sapo_lite.prompts.sources.openers import SourceContext
from sapo_lite.recipe import load_recipe, paraphrase_section
from sapo_lite.support.messages import as_toml, quoted
from sapo_lite.types import Task, learned_tasks

if TYPE_CHECKING:
    from sapo_lite.model.backbone import Backbone

_MODEL = "qwen3:8b"  # in Ollama, as in the shipped recipes


def paraphrase_instruction(
    text: str,
    labels: Sequence[str],
    section: Mapping[str, Any],
    *,
    seed: int = 0,
    fresh: bool = False,
    pull: bool = False,
    progress: PromptProgress,
) -> list[Pool]:
    """Paraphrase one instruction. Returns a list of one pool.

    section: keys of a recipe's section `paraphrase`

    Raises:
        SapoLiteError: anything that a user can fix; the message says how.
    """
    if not text.strip():
        raise RecipeError("expected an instruction or a recipe, found an empty text")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise RecipeError("expected an instruction in UTF-8, found bytes in some other encoding")
    config = paraphrase_section({"model": _MODEL, **section})
    task = Task(
        id="instruction",
        suite="",
        instruction=text,
        suffix="",
        labels=tuple(labels),
        language=language_of(text),
        train=(),
        test=(),
    )
    if unnamed := [label for label in task.labels if label not in task.instruction]:
        progress.notice(f"not in the instruction, so not asked for: {', '.join(map(quoted, unnamed))}")
    return make_pools([task], config, SourceContext(progress, seed=seed, fresh=fresh, pull=pull))


def paraphrase_recipe(
    spec: str,
    settings: Sequence[str],
    section: Mapping[str, Any],
    *,
    data: Path | None = None,
    fresh: bool = False,
    pull: bool = False,
    progress: PromptProgress,
) -> list[Pool]:
    """Make the pools of all tasks of a recipe. A later run with equal settings reuses the cached answers.

    settings: overrides of the form `section.key=value`
    section: further keys of the recipe's section `paraphrase`

    Raises:
        SapoLiteError: anything that a user can fix; the message says how.
    """
    given = [f"paraphrase.{key}={as_toml(value)}" for key, value in section.items()]
    recipe = load_recipe(spec, [*settings, *given])
    tasks = learned_tasks(load_sequence(recipe.sequence, data))

    def load() -> "Backbone":
        from sapo_lite.model.hub import locate_model
        from sapo_lite.model.load import load_backbone

        locate_model(recipe.model.name, progress.notice)  # what takes long is said first
        return load_backbone(recipe.model)

    own = (recipe.model, cache(load))
    around = SourceContext(progress, seed=recipe.seed, fresh=fresh, pull=pull, own=own)
    return make_pools(tasks, recipe.paraphrase, around)
