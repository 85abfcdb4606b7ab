"""What a task is trained on. A strategy returns rows, not a prompt: it may vary both wording and answers."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sapo_lite.scoring import highest, lowest
from sapo_lite.types import Candidate, CandidateScore, Part, Schedule, Selection, Task, TrainRow


@dataclass(frozen=True)
class Strategy:
    """`choose(candidates, scores, rng)` picks the wording that is put on every row.

    What a strategy does not need is not done: no paraphrasing for `fixed`, no scoring for `random`.
    One that `races` needs full scores of the lowest losses only. One that `varies` trains on all
    candidates by turns, and is tested with the wording that is picked.
    """

    choose: Callable[[Sequence[Candidate], Sequence[CandidateScore], random.Random], Candidate]
    needs_candidates: bool = True
    needs_scores: bool = True
    races: bool = False
    varies: bool = False


def _fixed(
    candidates: Sequence[Candidate], _scores: Sequence[CandidateScore], _rng: random.Random
) -> Candidate:
    """The original instruction."""
    return candidates[0]


def _sapo(
    candidates: Sequence[Candidate], scores: Sequence[CandidateScore], _rng: random.Random
) -> Candidate:
    """The candidate with the lowest pre-update loss (SAPO)."""
    return candidates[lowest(scores).index]


def _worst(
    candidates: Sequence[Candidate], scores: Sequence[CandidateScore], _rng: random.Random
) -> Candidate:
    """The candidate with the highest pre-update loss (the paper's control, SAPP)."""
    return candidates[highest(scores).index]


def _random(
    candidates: Sequence[Candidate], _scores: Sequence[CandidateScore], rng: random.Random
) -> Candidate:
    """One candidate, the original included, drawn uniformly."""
    return rng.choice(candidates)


STRATEGIES: dict[str, Strategy] = {
    "fixed": Strategy(_fixed, needs_candidates=False, needs_scores=False),
    "sapo": Strategy(_sapo, races=True),
    "worst": Strategy(_worst),
    "random": Strategy(_random, needs_scores=False),
    "paft": Strategy(_fixed, needs_scores=False, varies=True),
    # The answers are rewritten under any strategy that the recipe asks it for (sapo_lite.rewriting).
    "rewrite": Strategy(_fixed, needs_candidates=False, needs_scores=False),
}


def select(
    name: str,
    task: Task,
    candidates: Sequence[Candidate],
    scores: Sequence[CandidateScore],
    *,
    seed: int,
    hold: int = 4,
) -> Selection:
    """Apply the strategy called `name` to one task.

    `scores` may be empty where the strategy needs none, or where there is nothing to choose from.
    `hold` is the number of optimiser steps for which a strategy that varies keeps a wording.
    """
    strategy = STRATEGIES[name]
    if len(candidates) == 1:
        chosen, schedule = candidates[0], None
    else:
        chosen = strategy.choose(candidates, scores, random.Random(f"{seed}/{task.id}"))
        texts = tuple(candidate.text for candidate in candidates)
        schedule = Schedule(texts, hold, f"{seed}/{task.id}") if strategy.varies else None
    rows = [TrainRow(chosen.text, e.input, e.answer) for e in task.train]
    return Selection(Part(task, rows, schedule), chosen)
