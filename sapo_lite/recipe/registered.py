"""Rules between settings that come from strategies, adapter methods and sources of paraphrases.

They are made for every recipe from the entries of STRATEGIES, METHODS and SOURCES.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from pydantic import BaseModel

from sapo_lite.learning.methods import METHODS
from sapo_lite.prompts.sources import SOURCES, kind_of
from sapo_lite.prompts.strategies import STRATEGIES, strategy_of, variants
from sapo_lite.prompts.strategy import Variant
from sapo_lite.recipe.needs import Needs, needs_of
from sapo_lite.recipe.rules import Rule
from sapo_lite.support.messages import one_of, quoted

# By key of the section `paraphrase`: the expected value, for sources that need the key.
_GIVEN = {
    "model": "the name of a model",
    "base_url": "the address of an endpoint",
    "path": "a file of candidates",
}


def registered_rules(prompt: type[BaseModel]) -> tuple[Rule, ...]:
    """Rules of all registries. `prompt` is the section's class, for its defaults."""
    defaults = {name: field.get_default() for name, field in prompt.model_fields.items()}
    return (*_own_settings(defaults), *_one_variant(defaults), *_of_methods(), *_of_candidates())


def _own_settings(defaults: Mapping[str, Any]) -> Iterator[Rule]:
    """A setting of only one strategy or variant must have its default with all others."""
    for key in dict.fromkeys(key for strategy in STRATEGIES.values() for key in strategy.settings):
        owners = [name for name, strategy in STRATEGIES.items() if key in strategy.settings]
        yield _only_for(key, defaults[key], "strategy", owners)
    for variant in variants():
        for key in variant.strategy.settings:
            yield _only_for(key, defaults[key], variant.setting, [variant.value])


def _only_for(key: str, default: Any, other: str, owners: Sequence[str | int]) -> Rule:
    return Rule(
        (f"prompt.{key}", f"prompt.{other}"),
        lambda value, found: value == default or found in owners,
        f'{quoted(default)} (prompt.{other} is "{{1}}")',
    )


def _one_variant(defaults: Mapping[str, Any]) -> Iterator[Rule]:
    """Settings that select different variants of a strategy cannot be combined."""
    for strategy in STRATEGIES.values():
        for first, second in combinations(strategy.variants, 2):
            if first.setting != second.setting:
                yield _not_both(first, second, defaults[second.setting])


def _not_both(first: Variant, second: Variant, default: Any) -> Rule:
    found = '"{1}"' if isinstance(first.value, str) else "{1}"
    return Rule(
        (f"prompt.{second.setting}", f"prompt.{first.setting}"),
        lambda own, other: (
            not (second.asked_for({second.setting: own}) and first.asked_for({first.setting: other}))
        ),
        f"{quoted(default)} (prompt.{first.setting} is {found})",
    )


def _of_methods() -> Iterator[Rule]:
    yield Rule(
        ("prompt.state", *_prompt_keys()),
        lambda state, *prompt: state == "current" or strategy_of(_prompt(prompt)).reads_the_model,
        '"current" (no candidate is measured on the model before training)',
    )
    yield Rule(
        ("scoring.reduction", "scoring.race", *_prompt_keys()),
        lambda reduction, race, *prompt: (
            reduction == "token_mean" or not (race and strategy_of(_prompt(prompt)).races)
        ),
        '"token_mean" (scoring.race is true)',
    )
    yield Rule(
        ("model.cut", "scoring.race", *_prompt_keys()),
        lambda cut, race, *prompt: cut == "input" or not (race and strategy_of(_prompt(prompt)).races),
        '"input" (scoring.race is true, and candidates that lose answer tokens cannot race)',
    )
    yield Rule(
        ("rewrite.enabled", "prompt.strategy"),
        lambda enabled, strategy: enabled or not STRATEGIES[strategy].rewrites,
        'true (prompt.strategy is "{1}")',
    )
    yield Rule(
        ("adapter.penalty_weight", "adapter.method"),
        lambda weight, method: weight != 0 or not METHODS[method].penalty,
        'a number above 0 (adapter.method is "{1}")',
    )
    yield Rule(
        ("guard.on", "guard.max_drop", "adapter.method", "paraphrase.count", *_prompt_keys()),
        lambda on, line, method, count, *prompt: (
            on != "retry"
            or line is None
            or (len(METHODS[method].groups("ab")) > 1 and count and _takes_the_lowest(_prompt(prompt)))
        ),
        '"warn" or "stop" ("retry" takes the candidate of the next lowest loss: it needs prompt.strategy = '
        '"sapo" without top_k, rescore and indicator, paraphrases, and an adapter that learns one task after '
        "another)",
    )


def _of_candidates() -> Iterator[Rule]:
    """Required settings of the sources, if any paraphrases are made."""
    needed = ("adapter.method", "paraphrase.count", "paraphrase.held_out", *_prompt_keys())
    for key in dict.fromkeys(key for source in SOURCES.values() for key in source.needs):
        yield _given(key, needed)
    backbone = [name for name, source in SOURCES.items() if source.backbone]
    loading = [name for name, source in SOURCES.items() if source.loads_a_model]
    yield Rule(
        ("paraphrase.backend", *needed),
        lambda backend, *run: not (_needs(run).candidates and _is_behind(backend, loading, backbone)),
        f"{one_of(map(quoted, backbone))} behind {one_of(map(quoted, loading))}, since the backbone stays in "
        "memory once it is loaded",
    )
    yield Rule(
        ("paraphrase.minimum", "paraphrase.count", *needed),
        lambda least, count, *run: least <= count or not _needs(run).choice,
        "at most paraphrase.count ({1})",
    )


def _given(key: str, needed: tuple[str, ...]) -> Rule:
    kinds = [name for name, source in SOURCES.items() if key in source.needs]

    def lacks(backend: str | Sequence[str]) -> bool:
        """Whether a named source needs the key; a source with a model after a slash has its model."""
        return any((name if key == "model" else kind_of(name)) in kinds for name in _names(backend))

    without = " without one" if key == "model" else ""
    return Rule(
        (f"paraphrase.{key}", "paraphrase.backend", *needed),
        lambda value, backend, *run: value or not (_needs(run).candidates and lacks(backend)),
        f"{_GIVEN.get(key, 'a value')} (paraphrase.backend has {one_of(map(quoted, kinds))}{without})",
    )


def _takes_the_lowest(prompt: Mapping[str, Any]) -> bool:
    """Whether one candidate, that of the lowest loss, is trained with: the next one can take its place."""
    strategy = strategy_of(prompt)
    return strategy.races and strategy.schedule is None


def _prompt_keys() -> list[str]:
    """The keys that decide a recipe's strategy."""
    return ["prompt.strategy", *dict.fromkeys(f"prompt.{variant.setting}" for variant in variants())]


def _prompt(values: Sequence[Any]) -> dict[str, Any]:
    """The section `prompt` with the values of these keys."""
    return {key.removeprefix("prompt."): value for key, value in zip(_prompt_keys(), values, strict=True)}


def _needs(run: Sequence[Any]) -> Needs:
    method, count, held_out, *prompt = run
    return needs_of(_prompt(prompt), method, count, held_out)


def _names(backend: str | Sequence[str]) -> list[str]:
    """The sources of `backend`, which may be a single name."""
    return [backend] if isinstance(backend, str) else list(backend)


def _is_behind(backend: str | Sequence[str], kinds: Sequence[str], others: Sequence[str]) -> bool:
    """Whether a source of the first kinds comes later than one of the others."""
    found = [kind_of(name) for name in _names(backend)]
    return any(
        kind in kinds and any(before in others for before in found[:place])
        for place, kind in enumerate(found)
    )
