"""From candidates to the one a task is trained with: its losses measured, shown, and judged."""

from collections.abc import Sequence
from dataclasses import dataclass

from sapo_lite.model.backbone import Backbone
from sapo_lite.prompts.confidence import Margin, certainty, resolution
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.types import Candidate


@dataclass(frozen=True)
class Choice:
    """The wording a task is trained with and, where losses were measured, what its lead is worth."""

    strategy: str
    chosen: Candidate
    loss: float | None
    original_loss: float | None
    certainty: Margin | None


def judge(backbone: Backbone, strategy: str, chosen: Candidate, scores: Sequence[CandidateLoss]) -> Choice:
    """The choice with what the scores (none, or those of at least two candidates) say about it."""
    losses = {s.index: s.loss for s in scores}
    worth = certainty(scores, chosen.index, resolution=resolution(backbone)) if scores else None
    return Choice(strategy, chosen, losses.get(chosen.index), losses.get(0), worth)
