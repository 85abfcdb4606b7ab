"""`protocol = "released"`: the settings with which a run repeats SAPO's released code, faults included.

Each is a setting of its own, and the protocol only changes its default. docs/faithful.md explains each.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sapo_lite.recipe.source import RecipeSource

RELEASED: dict[str, Any] = {
    "model.answer_newline": True,
    "model.cut": "right",
    "paraphrase.request": "fixed",
    "paraphrase.gate": False,
    "scoring.race": False,
    "scoring.reduction": "batch_mean",
    "scoring.divided_scale": True,
    "scoring.drop_remainder": 8,
    "training.schedule": "constant",
    "evaluation.exact_match": "squad",
}
# Only with an adapter method or a strategy, which is the value of the key.
RELEASED_WITH: dict[tuple[str, str], dict[str, Any]] = {
    ("adapter.method", "olora"): {"adapter.penalty_weight": 4.0},
    ("adapter.method", "replay"): {"adapter.replay_rows": 200},
    ("prompt.strategy", "paft"): {"prompt.hold_unit": "rows", "prompt.hold": 1},
}
# Settings that need every candidate's losses on all examples.
_IN_FULL = (("scoring.reduction", "batch_mean"), ("model.cut", "right"))


def fill_released(source: RecipeSource, chosen: Mapping[str, Any]) -> None:
    """Set what a recipe of the released protocol has not set.

    chosen: values of the keys that RELEASED_WITH depends on
    """
    for key, value in _released(chosen):
        _fill(source, key, value)


def fill_full_scoring(source: RecipeSource) -> None:
    """Switch the race off where a setting cannot have one, unless the recipe has set it."""
    if any(source.value(key) == value for key, value in _IN_FULL):
        _fill(source, "scoring.race", value=False)


def switched_on(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    """Keys whose value is that of the released code and not the default; both mappings by `section.key`."""
    return [
        key for key, value in _released(settings) if settings.get(key) == value and defaults.get(key) != value
    ]


def _released(chosen: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from RELEASED.items()
    for (key, value), settings in RELEASED_WITH.items():
        if chosen.get(key) == value:
            yield from settings.items()


def _fill(source: RecipeSource, key: str, value: Any) -> None:
    section, _, name = key.rpartition(".")
    source.fill(section, **{name: value})
