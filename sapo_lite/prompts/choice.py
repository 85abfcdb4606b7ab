"""The candidate that a task is trained with, its loss and its margin over the others."""

from collections.abc import Sequence
from dataclasses import dataclass

from sapo_lite.model.backbone import Backbone
from sapo_lite.prompts.confidence import Margin, certainty, resolution
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.types import Candidate


@dataclass(frozen=True)
class Choice:
    """The wording a task is trained with and, where losses were measured, the margin of its lead.

    Of the two losses, each says on how many examples it was measured, and whether it is `partial`: of a
    candidate that left a race before it had seen all.
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
    """The choice with its losses and their margin; `scores` are none, or those of at least two candidates."""
    by_index = {s.index: s for s in scores}
    own, original = by_index.get(chosen.index), by_index.get(0)
    margin = certainty(scores, chosen.index, resolution=resolution(backbone)) if scores else None
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
