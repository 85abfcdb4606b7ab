"""What a run needs before it trains. It is decided here alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sapo_lite.learning.methods import METHODS
from sapo_lite.prompts.strategies import strategy_of


@dataclass(frozen=True)
class Needs:
    """choice: paraphrases to choose a prompt from; candidates: any paraphrases, to choose from or to test
    with; losses: pre-update losses of those to choose from."""

    choice: bool
    candidates: bool
    losses: bool


def needs_of(prompt: Mapping[str, Any], method: str, count: int, held_out: int) -> Needs:
    """Of a section `prompt`, an adapter's method, and numbers of paraphrases to choose from and to test with.

    Where nothing is trained, no prompt is chosen.
    """
    strategy = strategy_of(prompt)
    choice = strategy.needs_candidates and count > 0 and METHODS[method].trains
    return Needs(choice, choice or held_out > 0, choice and strategy.needs_losses)
