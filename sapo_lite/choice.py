"""From candidates to the one a task is trained with: its losses measured, shown, and judged."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from sapo_lite.backbone import Backbone
from sapo_lite.certainty import Certainty, certainty
from sapo_lite.display import Display, Meter
from sapo_lite.racing import Round
from sapo_lite.scoring import race_scores, score
from sapo_lite.types import Candidate, CandidateScore, Reduction, Task

# Nats per token by which arithmetic in bfloat16 alone was seen to move a candidate's mean, at most.
BFLOAT16_RESOLUTION = 0.008


@dataclass(frozen=True)
class Choice:
    """The wording a task is trained with and, where losses were measured, what its lead is worth."""

    strategy: str
    chosen: Candidate
    loss: float | None
    original_loss: float | None
    certainty: Certainty | None


def judge(backbone: Backbone, strategy: str, chosen: Candidate, scores: Sequence[CandidateScore]) -> Choice:
    """The choice with what the scores (none, or those of at least two candidates) say about it."""
    losses = {s.index: s.loss for s in scores}
    worth = certainty(scores, chosen.index, resolution=resolution(backbone)) if scores else None
    return Choice(strategy, chosen, losses.get(chosen.index), losses.get(0), worth)


def resolution(backbone: Backbone) -> float:
    """Nats per token by which arithmetic alone may move a candidate's mean."""
    return BFLOAT16_RESOLUTION if backbone.dtype is torch.bfloat16 else 0.0


def measure(
    backbone: Backbone,
    task: Task,
    pool: Sequence[Candidate],
    *,
    examples: int,
    race: bool,
    reduction: Reduction,
    seed: int,
    show: Display,
) -> list[CandidateScore]:
    """Scores of all candidates on the task's first `examples` training examples, shown as they come."""
    examples = min(examples, len(task.train))
    with show.work("scoring", len(pool) * examples, "examples") as meter:
        progress = _Progress(pool, examples, meter, show)
        if race:
            scores = race_scores(
                backbone,
                task,
                pool,
                examples=examples,
                seed=seed,
                on_score=progress.scored,
                on_round=progress.round_ended,
            )
        else:
            scores = score(
                backbone, task, pool, examples=examples, reduction=reduction, on_score=progress.scored
            )
    show.candidates(pool, scores, final=True)
    return scores


class _Progress:
    """Counts examples of candidates; those that a race need not measure any more count as done."""

    def __init__(self, pool: Sequence[Candidate], examples: int, meter: Meter, show: Display) -> None:
        self._pool, self._examples, self._meter, self._show = pool, examples, meter, show
        self._scores: dict[int, CandidateScore] = {}
        self._note = ""

    def scored(self, score: CandidateScore) -> None:
        before = self._scores.get(score.index)
        self._scores[score.index] = score
        self._show.candidates(self._pool, list(self._scores.values()))
        self._meter.advance(len(score.examples) - (len(before.examples) if before else 0), self._note)

    def round_ended(self, ended: Round) -> None:
        self._note = f"{len(ended.left)} of {len(self._pool)} in the race after {ended.examples} examples"
        out = len(ended.dropped) + (len(ended.left) if len(ended.left) == 1 else 0)
        self._meter.advance(out * (self._examples - ended.examples), self._note)


def scores_to_json(scores: Sequence[CandidateScore]) -> list[dict[str, Any]]:
    """One object a candidate; `partial` says that it left a race before it had seen all examples."""
    return [{**asdict(score), "partial": score.partial} for score in scores]


def scores_from_json(saved: Sequence[dict[str, Any]]) -> list[CandidateScore]:
    return [
        CandidateScore(
            s["index"],
            tuple(s["nll_sum"]),
            tuple(s["tokens"]),
            tuple(s["examples"]),
            s["total"],
            s["reduction"],
        )
        for s in saved
    ]
