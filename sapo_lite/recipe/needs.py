"""Paraphrases and losses that a run needs before training. Only this module decides it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sapo_lite.learning.methods import METHODS
from sapo_lite.prompts.strategies import strategy_of


@dataclass(frozen=True)
class Needs:
    """Whether a run needs paraphrases and losses.

    choice: paraphrases to choose a prompt from
    candidates: any paraphrases, to choose from or to test with
    losses: pre-update losses of the candidates
    """

    choice: bool
    candidates: bool
    losses: bool


def needs_of(prompt: Mapping[str, Any], method: str, count: int, held_out: int) -> Needs:
    """Needs of a section `prompt` and an adapter method, with `count` and `held_out` paraphrases.

    If nothing is trained, no prompt is chosen.
    """
    strategy = strategy_of(prompt)
    choice = strategy.needs_candidates and count > 0 and METHODS[method].trains
    return Needs(choice, choice or held_out > 0, choice and strategy.needs_losses)
