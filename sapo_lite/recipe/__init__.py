"""Recipes: everything that decides a run, read from TOML and checked strictly before a model loads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from sapo_lite.errors import RecipeError
from sapo_lite.prompts.strategies import STRATEGIES
from sapo_lite.prompts.strategy import Strategy
from sapo_lite.recipe.faults import field_faults, rule_faults, value_or_default
from sapo_lite.recipe.files import describe, find_recipe, recipe_text, shipped_recipes
from sapo_lite.recipe.guard import GuardConfig
from sapo_lite.recipe.learning import AdapterConfig, RewriteConfig, TrainingConfig
from sapo_lite.recipe.limits import lower_to_limits
from sapo_lite.recipe.prompting import ParaphraseConfig, PromptConfig
from sapo_lite.recipe.registered import registered_rules
from sapo_lite.recipe.released import RELEASED_WITH, fill_full_scoring, fill_released, switched_on
from sapo_lite.recipe.rules import RULES
from sapo_lite.recipe.sections import (
    EvaluationConfig,
    ModelConfig,
    Recipe,
    ScoringConfig,
    SequenceConfig,
)
from sapo_lite.recipe.source import Fault, Place, RecipeSource, read_source
from sapo_lite.recipe.tasks import TaskConfig, task_faults
from sapo_lite.recipe.values import MOST_PARAPHRASES
from sapo_lite.support.messages import as_toml

__all__ = [
    "AdapterConfig",
    "EvaluationConfig",
    "GuardConfig",
    "ModelConfig",
    "ParaphraseConfig",
    "PromptConfig",
    "Recipe",
    "RewriteConfig",
    "ScoringConfig",
    "SequenceConfig",
    "TaskConfig",
    "TrainingConfig",
    "describe",
    "differences",
    "find_recipe",
    "flat",
    "load_recipe",
    "paraphrase_section",
    "recipe_text",
    "released_switches",
    "shipped_recipes",
]

_TOP_LEVEL = ("name", "seed", "protocol")


def load_recipe(spec: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe: a path to a .toml file, or the name of a shipped one.

    Overrides have the form `section.key=value` (or `seed=3`).

    Raises:
        RecipeError: the file or the overrides have faults; the message has one line for each.
    """
    path = find_recipe(spec)
    folder = path.absolute().parent
    source = read_source(path, _label(spec, path), overrides)
    faults = list(source.faults)
    if "name" in source.values:
        faults.append(Fault(source.place("name"), "name: no such key; a recipe is named after its file"))
    # Sections left out are validated as empty ones, so that a missing key is reported by its name.
    empty: dict[str, Any] = {name: {} for name in Recipe.model_fields if name not in _TOP_LEVEL}
    if source.value("protocol") == "released":
        fill_released(source, _chosen(source))
    fill_full_scoring(source)
    if (strategy := _strategy(source)) and strategy.rewrites:
        source.fill("rewrite", enabled=True)
    if held_out := _held_out(source):
        source.fill("paraphrase", held_out=held_out)
    notices = lower_to_limits(source, Recipe)
    refused: dict[str, Fault] = {}
    recipe = None
    try:
        recipe = Recipe.model_validate({**empty, **source.values, "name": path.stem}, context=folder)
    except ValidationError as error:
        refused = field_faults(error, Recipe, source)
    rules = (*RULES, *registered_rules(PromptConfig))
    faults += [*refused.values(), *rule_faults(rules, Recipe, source, set(refused))]
    faults += task_faults(source, set(refused))
    if faults or recipe is None:
        faults.sort(key=lambda fault: fault.place)
        raise RecipeError("\n".join(f"{fault.place.text}: {fault.text}" for fault in faults))
    recipe._notices = notices
    return recipe


def released_switches(recipe: Recipe) -> list[str]:
    """Settings with the value of the released code where that is not the default, as `key = value`."""
    settings = flat(recipe.resolved())
    defaults = {
        f"{section}.{name}": field.get_default()
        for section, model in Recipe.model_fields.items()
        if isinstance(model.annotation, type) and issubclass(model.annotation, BaseModel)
        for name, field in model.annotation.model_fields.items()
    }
    return [f"{key} = {as_toml(settings[key])}" for key in switched_on(settings, defaults)]


def _chosen(source: RecipeSource) -> dict[str, Any]:
    """The values, or defaults, of the keys on which settings of the released protocol depend."""
    return {key: value_or_default(key, Recipe, source) for key, _ in RELEASED_WITH}


def _held_out(source: RecipeSource) -> int:
    """Default number of held-out paraphrases: the largest number that a test of the recipe needs."""
    needs = [source.value("evaluation.robustness")]
    if strategy := _strategy(source):
        count = source.value("paraphrase.count")
        count = ParaphraseConfig().count if count is None else count
        needs.append(strategy.held_out(count) if type(count) is int else None)
    # The validation refuses values that are not numbers, or too high.
    return max([0, *(need for need in needs if type(need) is int and need <= MOST_PARAPHRASES)])


def _strategy(source: RecipeSource) -> Strategy | None:
    """The strategy named in the recipe, or None if there is none of that name."""
    name = source.value("prompt.strategy")
    return STRATEGIES.get(name) if isinstance(name, str) else None


def paraphrase_section(settings: Mapping[str, Any]) -> ParaphraseConfig:
    """The section `paraphrase` alone, from the options of a command.

    Raises:
        RecipeError: options have faults; the message has one line for each.
    """
    places = {f"paraphrase.{key}": Place(0, f"--{key}") for key in settings} | {"": Place(1, "command line")}
    source = RecipeSource({"paraphrase": dict(settings)}, places, ())
    refused: dict[str, Fault] = {}
    alone = None
    try:
        alone = _ParaphraseAlone.model_validate(source.values)
    except ValidationError as error:
        refused = field_faults(error, _ParaphraseAlone, source)
    sections = set(_ParaphraseAlone.model_fields)
    rules = [
        rule
        for rule in (*RULES, *registered_rules(PromptConfig))
        if sections.issuperset(key.split(".")[0] for key in rule.keys)
    ]
    faults = [*refused.values(), *rule_faults(rules, _ParaphraseAlone, source, set(refused))]
    if faults or alone is None:
        raise RecipeError("\n".join(f"{fault.place.text}: {fault.text}" for fault in faults))
    return alone.paraphrase


class _ParaphraseAlone(BaseModel):
    """A recipe of only this section, as input of its rules."""

    prompt: PromptConfig = PromptConfig()
    adapter: AdapterConfig = AdapterConfig()
    paraphrase: ParaphraseConfig


def _label(spec: str | Path, path: Path) -> str:
    """Name of the file in messages: the path as typed, or the shortest path of a shipped file."""
    if Path(spec) == path or not path.is_relative_to(Path.cwd()):
        return str(path)
    return str(path.relative_to(Path.cwd()))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Differences between a run's resolved recipe and another one: one line for every setting.

    The recipe's name is left out: it does not affect the run.
    """
    before, after = flat(old), flat(new)
    return [
        f"{key}: {as_toml(before.get(key))} in the run, {as_toml(after.get(key))} in the recipe"
        for key in {**before, **after}
        if key != "name" and before.get(key) != after.get(key)
    ]


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by `section.key`; those of tables in a list by `section.table[1].key`."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value, start=1):
                found |= flat(item, f"{prefix}{key}[{number}].")
        else:
            found[f"{prefix}{key}"] = value
    return found
