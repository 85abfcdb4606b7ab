"""Three ways of scoring the same candidates on the same rows, alternately in one process."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.speed.scoring.clock import CLOCKS, Clock, Seconds, median_ratio, timed, total
from benchmarks.speed.scoring.limit import Work, work
from benchmarks.speed.scoring.released import ReleasedLoop
from sapo_lite.prompts.losses import RELEASED_BATCH, CandidateLoss, lowest
from sapo_lite.prompts.scoring import race_scores, score
from sapo_lite.types import Candidate, Task

# Largest relative difference of a candidate's loss from the released loop's: only rounding.
SAME = {"float32": 1e-5, "bfloat16": 1e-2}


@dataclass(frozen=True)
class Scored:
    """Costs of the released loop, of exact scoring (one for each round) and of races, and their results.

    limit: seconds that the arithmetic takes at the machine's rate
    difference: largest relative difference between losses of the loop and of exact scoring
    agrees: whether that may come from rounding
    saved: share of example-scores that the race skipped
    """

    task: str
    candidates: int
    examples: int
    work: Work
    limit: float
    released: tuple[Seconds, ...]
    exact: tuple[Seconds, ...]
    races: tuple[Seconds, ...]
    difference: float
    agrees: bool
    saved: float
    same_choice: bool

    def speedup(self, clock: Clock) -> float:
        return median_ratio(self.released, self.exact, clock)

    def race_speedup(self, clock: Clock) -> float:
        """Time of exact scoring / time of a race; 1 if no race was run."""
        races = self.races or (total(self.exact),)
        return median_ratio([total(self.exact)] * len(races), races, clock)

    def limit_share(self, clock: Clock) -> float:
        """Limit of the arithmetic / time of exact scoring: 1 is as fast as the arithmetic."""
        return self.limit / total(self.exact).on(clock)

    def to_json(self, clock: Clock) -> dict[str, Any]:
        derived = {
            "speedup": {kind: self.speedup(kind) for kind in CLOCKS},
            "race_speedup": {kind: self.race_speedup(kind) for kind in CLOCKS},
            "limit_share": self.limit_share(clock),
            "needed_share": self.limit_share(clock) * self.work.needed / self.work.operations,
        }
        parts = {name: [vars(s) for s in getattr(self, name)] for name in ("released", "exact", "races")}
        return {**vars(self), "work": vars(self.work), **parts, **derived}


def compare(
    loop: ReleasedLoop,
    task: Task,
    candidates: Sequence[Candidate],
    *,
    examples: int,
    rounds: int,
    races: int,
    rate: float,
) -> Scored:
    """Measure the released loop, exact scoring and races, alternately.

    The candidates are divided among the rounds; every round scores its own with one method, then with the
    other. A race scores all of them, and follows each of the first `races` rounds.

    rate: floating point operations a second, for the limit.
    """
    backbone, rounds = loop.backbone, min(rounds, len(candidates))
    _warm_up(loop, task, candidates[:1])
    everyone_races = partial(race_scores, backbone, task, candidates, examples=examples, seed=0)
    losses: list[tuple[CandidateLoss, float]] = []
    raced: list[CandidateLoss] = []
    released, exact, of_races = [], [], []
    for number in range(rounds):
        dealt = candidates[number::rounds]
        found, seconds = timed(partial(loop.score, task, dealt, examples))
        released.append(seconds)
        measured, seconds = timed(partial(score, backbone, task, dealt, examples=examples))
        exact.append(seconds)
        losses += zip(measured, found, strict=True)
        if number < races:
            raced, seconds = timed(everyone_races)
            of_races.append(seconds)
    scores = [ours for ours, _ in losses]
    raced = raced or scores
    needed = work(backbone, task, candidates, examples)
    # Other kernels round in other places: a difference is part of what is measured, and ends nothing.
    difference = max(abs(ours.batch_mean - theirs) / theirs for ours, theirs in losses)
    return Scored(
        task=task.name,
        candidates=len(candidates),
        examples=scores[0].total,
        work=needed,
        limit=needed.operations / rate,
        released=tuple(released),
        exact=tuple(exact),
        races=tuple(of_races),
        difference=difference,
        agrees=difference <= SAME[backbone.config.dtype],
        saved=1 - sum(len(s.examples) for s in raced) / sum(len(s.examples) for s in scores),
        same_choice=lowest(raced).index == lowest(scores).index,
    )


def _warm_up(loop: ReleasedLoop, task: Task, candidates: Sequence[Candidate]) -> None:
    loop.score(task, candidates, RELEASED_BATCH)
    score(loop.backbone, task, candidates, examples=RELEASED_BATCH)
