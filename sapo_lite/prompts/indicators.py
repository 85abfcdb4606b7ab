"""Indicators: what "sapo" and "worst" compare candidates by instead of their pre-update loss.

An indicator is a function and an entry in INDICATORS that describes it in full; `prompt.indicator` names it.
This module does not import torch, so a recipe is checked at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Instruments:
    """Measurements of an instruction, with the backbone as it is before the update.

    score: mean score of greedy answers to the scoring examples, in percent of the task's own metric
    tokens: number of tokens of the instruction
    """

    score: Callable[[str], float]
    tokens: Callable[[str], int]


@dataclass(frozen=True)
class Indicator:
    """One way to compare candidates.

    name: of the value, with its unit
    best, worst: what "sapo" and "worst" choose, as in "the candidate with ..."
    measure: the value of an instruction
    highest: whether the highest value is the best, otherwise the lowest is
    answers: whether the scoring examples are answered under every candidate; otherwise no model is used
    """

    name: str
    best: str
    worst: str
    measure: Callable[[Instruments, str], float]
    highest: bool = False
    answers: bool = False


INDICATORS: dict[str, Indicator] = {
    "accuracy": Indicator(
        "zero-shot score in percent",
        "the highest zero-shot score",
        "the lowest zero-shot score",
        lambda instruments, text: instruments.score(text),
        highest=True,
        answers=True,
    ),
    "length": Indicator(
        "length in tokens",
        "the fewest tokens",
        "the most tokens",
        lambda instruments, text: instruments.tokens(text),
    ),
}


@dataclass(frozen=True)
class CandidateValue:
    """The value of one candidate by an indicator other than loss."""

    index: int
    value: float


def best_first(indicator: Indicator, values: Sequence[CandidateValue]) -> list[CandidateValue]:
    """The values, the best first; a tie goes to the earlier index."""
    return _ordered(values, highest=indicator.highest)


def worst_first(indicator: Indicator, values: Sequence[CandidateValue]) -> list[CandidateValue]:
    """The values, the worst first; a tie goes to the earlier index."""
    return _ordered(values, highest=not indicator.highest)


def _ordered(values: Sequence[CandidateValue], *, highest: bool) -> list[CandidateValue]:
    return sorted(values, key=lambda found: (-found.value if highest else found.value, found.index))
