"""Scoring: sapo-lite's exact losses against those of lm-evaluation-harness and of `Trainer.evaluate`; races.

A round scores the same examples with another candidate. A race scores all candidates, once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from benchmarks.speed.bench import CANDIDATES, Bench
from benchmarks.speed.line import Line, Measured, alternately, sheet
from benchmarks.speed.parts import harness
from benchmarks.speed.scoring.clock import Clock, Seconds, timed
from benchmarks.speed.scoring.limit import work
from benchmarks.speed.scoring.released import ReleasedLoop
from benchmarks.speed.sheet import Found, Sheet
from sapo_lite.prompts.losses import RELEASED_BATCH, CandidateLoss
from sapo_lite.prompts.scoring import race_scores, score
from sapo_lite.types import Candidate, Task

GOAL = 4.0
LIMIT_GOALS = {"smollm2": 0.75}
SHARE_GOAL = 0.03
LIMIT, OURS = "limit", "sapo-lite"
EVALUATE, HARNESS = "Trainer.evaluate", "lm-eval, loglikelihood"
PUBLISHED_ROWS = 1000 * 10  # of a task, times epochs


@dataclass(frozen=True)
class Race:
    """A race of all candidates on so many examples, and the time that scoring them all would take.

    saved: share of example-scores that the race skipped
    """

    task: str
    examples: int
    cost: Seconds
    saved: float
    whole: float


def measure(bench: Bench) -> tuple[Found, list[Race]]:
    loop = ReleasedLoop(bench.backbone, bench.folder / "evaluation")
    lines: list[Line] = []
    races: list[Race] = []
    for task in bench.tasks:
        own = _lines(bench, loop, task)
        lines += own
        if bench.sizes.raced:
            races.append(_race(bench, task, own[0]))
    clock = bench.clock
    return (
        Found(
            [sheet("Scoring: losses of answers, of peers and of sapo-lite", lines, clock)],
            {"lines": [line.to_json(clock) for line in lines], "races": [_as_json(race) for race in races]},
            [line.fault for line in lines if line.fault],
            [] if harness.installed() else [harness.ABSENT],
        ),
        races,
    )


def _lines(bench: Bench, loop: ReleasedLoop, task: Task) -> list[Line]:
    candidates, examples = bench.candidates(task)[: bench.sizes.rounds], bench.sizes.examples
    ways: dict[str, Callable[[int], Measured[Any]]] = {
        LIMIT: bench.rate,
        OURS: lambda n: _ours(bench, task, candidates[n], examples),
        EVALUATE: lambda n: timed(lambda: loop.score(task, [candidates[n]], examples)[0]),
    }
    if harness.installed():
        peer = harness.Harness(bench.backbone, RELEASED_BATCH)
        ways[HARNESS] = partial(_theirs, bench, peer, task, candidates, examples)
    _ours(bench, task, candidates[0], RELEASED_BATCH)  # the first products also choose kernels
    loop.score(task, candidates[:1], RELEASED_BATCH)
    found = alternately(ways, len(candidates))
    scores: list[CandidateLoss] = [loss for loss, _ in found[OURS]]
    exact = {EVALUATE: [s.batch_mean for s in scores], HARNESS: [sum(s.nll_sum) for s in scores]}
    needed = [work(bench.backbone, task, [one], examples).operations for one in candidates]
    limit = tuple(n / rate for n, (rate, _) in zip(needed, found[LIMIT], strict=True))
    return [
        Line(
            task=task.name,
            work=f"{examples} examples, a candidate",
            peer=peer,
            theirs=tuple(seconds for _, seconds in found[peer]),
            ours=tuple(seconds for _, seconds in found[OURS]),
            difference=_difference([loss for loss, _ in found[peer]], exact[peer]),
            tolerance=bench.same_loss,
            unit="losses",
            goal=GOAL,
            limit=limit,
            limit_goal=LIMIT_GOALS.get(bench.backbone.config.name),
        )
        for peer in ways
        if peer not in (LIMIT, OURS)
    ]


def _ours(bench: Bench, task: Task, candidate: Candidate, examples: int) -> Measured[Any]:
    return timed(lambda: score(bench.backbone, task, [candidate], examples=examples)[0])


def _theirs(
    bench: Bench,
    peer: harness.Harness,
    task: Task,
    candidates: Sequence[Candidate],
    examples: int,
    number: int,
) -> Measured[Any]:
    rows = bench.encoded(task, candidates[number].text, examples)
    with bench.for_peers():
        return timed(lambda: sum(peer.nll(rows)))


def _difference(found: Sequence[float], exact: Sequence[float]) -> float:
    """The largest one, relative."""
    return max(abs(theirs - ours) / ours for theirs, ours in zip(found, exact, strict=True))


def _race(bench: Bench, task: Task, line: Line) -> Race:
    candidates, examples = bench.candidates(task), min(bench.sizes.raced, len(task.train))
    found, cost = timed(lambda: race_scores(bench.backbone, task, candidates, examples=examples, seed=0))
    done = sum(len(one.examples) for one in found)
    each = median(s.on(bench.clock) for s in line.ours) / bench.sizes.examples
    everything = len(candidates) * examples
    return Race(task.name, examples, cost, 1 - done / everything, each * everything)


def _as_json(race: Race) -> dict[str, object]:
    return {**vars(race), "cost": vars(race.cost)}


def race_sheet(races: Sequence[Race], trained: Mapping[str, float], clock: Clock) -> Sheet:
    """Races, and their share of training at the published sizes.

    trained: seconds of a row that sapo-lite trains on, by task
    """
    columns = ["task", "candidates x examples", f"race, {clock} s", "all of them, s", "all / race"]
    columns += ["example-scores saved", "race / training", "goal"]
    rows = []
    for race in races:
        seconds = race.cost.on(clock)
        row = [race.task, f"{CANDIDATES} x {race.examples}", f"{seconds:.2f}", f"{race.whole:.2f}"]
        row += [f"{race.whole / seconds:.2f}", f"{race.saved:.0%}"]
        each = trained.get(race.task)
        share = "" if each is None else f"{seconds / (each * PUBLISHED_ROWS):.1%}"
        rows.append([*row, share, f"under {SHARE_GOAL:.0%}"])
    title = "Races of all candidates, and their share of training on 1,000 rows for 10 epochs"
    return Sheet(title, columns, rows)
