"""Three ways of scoring the same candidates on the same rows, alternately in one process."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.scoring.clock import Clock, Seconds, median_ratio, timed, total
from benchmarks.scoring.limit import Work, work
from benchmarks.scoring.released import ReleasedLoop
from sapo_lite.scoring import lowest, race_scores, score
from sapo_lite.types import Candidate, CandidateScore, Task

# Largest relative difference of a candidate's loss from that of the released loop: rounding, no more.
SAME = {"float32": 1e-5, "bfloat16": 1e-2}
RACES = 3  # at most; a race takes all candidates, not those of one round


@dataclass(frozen=True)
class Scored:
    """Costs of the released loop, of exact scoring (a round each) and of races, and what they found.

    limit: seconds that the arithmetic takes at the machine's rate
    difference: the largest relative one between losses of the loop and of exact scoring
    saved: share of example-scores that the race did not need
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
    saved: float
    same_choice: bool

    def speedup(self, clock: Clock) -> float:
        return median_ratio(self.released, self.exact, clock)

    def race_speedup(self, clock: Clock) -> float:
        """How many times as long exact scoring takes as a race."""
        return median_ratio([total(self.exact)] * len(self.races), self.races, clock)

    def limit_share(self, clock: Clock) -> float:
        """1 where exact scoring is as fast as its arithmetic."""
        return self.limit / total(self.exact).on(clock)

    def to_json(self, clock: Clock) -> dict[str, Any]:
        derived = {
            "speedup": {kind: self.speedup(kind) for kind in ("cpu", "wall")},
            "race_speedup": {kind: self.race_speedup(kind) for kind in ("cpu", "wall")},
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
    rate: float,
) -> Scored:
    """The candidates are dealt out over the rounds; every round takes its own by one way, then the other.

    Raises AssertionError where the losses differ by more than rounding.
    """
    backbone = loop.backbone
    short = replace(task, train=task.train[:8])
    loop.score(short, candidates[:1], examples)
    score(backbone, short, candidates[:1], examples=examples)

    losses: dict[int, float] = {}
    scores: list[CandidateScore] = []
    released, exact, races = [], [], []
    raced: list[CandidateScore] = []
    for number in range(rounds):
        dealt = candidates[number::rounds]
        found, seconds = timed(lambda dealt=dealt: loop.score(task, dealt, examples))
        losses |= {candidate.index: loss for candidate, loss in zip(dealt, found, strict=True)}
        released.append(seconds)
        measured, seconds = timed(lambda dealt=dealt: score(backbone, task, dealt, examples=examples))
        scores += measured
        exact.append(seconds)
        if number < RACES:
            raced, seconds = timed(
                lambda: race_scores(backbone, task, candidates, examples=examples, seed=0)
            )
            races.append(seconds)

    needed = work(backbone, task, candidates, examples)
    difference = max(abs(s.batch_mean - losses[s.index]) / losses[s.index] for s in scores)
    limit = SAME[backbone.config.dtype]
    assert difference <= limit, f"{task.short_id}: losses differ by {difference:.2g}, expected {limit:g}"
    return Scored(
        task=task.short_id,
        candidates=len(candidates),
        examples=len(task.train[:examples]),
        work=needed,
        limit=needed.operations / rate,
        released=tuple(released),
        exact=tuple(exact),
        races=tuple(races),
        difference=difference,
        saved=1 - sum(len(s.examples) for s in raced) / sum(len(s.examples) for s in scores),
        same_choice=lowest(raced).index == lowest(scores).index,
    )
