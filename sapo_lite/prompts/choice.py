"""The choice among a task's candidates, and the confidence in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sapo_lite.prompts.confidence import Margin, certainty, resolution
from sapo_lite.prompts.losses import CandidateLoss, highest, lowest
from sapo_lite.prompts.strategies import STRATEGIES
from sapo_lite.types import Candidate

if TYPE_CHECKING:
    from sapo_lite.model.backbone import Backbone
    from sapo_lite.prompts.leads import Rule


@dataclass(frozen=True)
class Choice:
    """The candidate a task is trained with and, if losses were measured, its lead, corrected for the choice.

    Each of the two losses says on how many examples it was measured. It is `partial` for a candidate that
    left a race early.
    """

    strategy: str
    chosen: Candidate
    loss: float | None
    original_loss: float | None
    certainty: Margin | None
    examples_scored: int | None
    partial: bool | None
    original_examples_scored: int | None
    original_partial: bool | None


def describe_choice(
    backbone: "Backbone", strategy: str, chosen: Candidate, scores: Sequence[CandidateLoss]
) -> Choice:
    """The choice and its margin, from the losses of at least two candidates, or from none.

    There is no margin between candidates that were scored on different answer tokens (model.cut "right").
    """
    by_index = {s.index: s for s in scores}
    own, original = by_index.get(chosen.index), by_index.get(0)
    margin = None
    if scores and all(_same_answers(own, score) for score in scores if own):
        rule = _rule(strategy, chosen, scores)
        margin = certainty(scores, chosen.index, rule=rule, resolution=resolution(backbone))
    return Choice(
        strategy,
        chosen,
        loss=own.loss if own else None,
        original_loss=original.loss if original else None,
        certainty=margin,
        examples_scored=len(own.examples) if own else None,
        partial=own.partial if own else None,
        original_examples_scored=len(original.examples) if original else None,
        original_partial=original.partial if original else None,
    )


def _rule(strategy: str, chosen: Candidate, scores: Sequence[CandidateLoss]) -> "Rule":
    """How losses made the choice: not if the strategy keeps the original, or another rank was asked for."""
    if STRATEGIES[strategy].keeps_original:
        return "given"
    if chosen.index == lowest(scores).index:
        return "lowest"
    return "highest" if chosen.index == highest(scores).index else "given"


def _same_answers(one: CandidateLoss, other: CandidateLoss) -> bool:
    """Whether the answers of the common examples have as many tokens for both candidates."""
    return all(a == b for a, b in zip(one.tokens, other.tokens, strict=False))
