"""The guard of a run: what happens if a learned or a watched task drops too far after a stage.

With "retry", a stage is learned up to three times: as the recipe says; with the candidate of the next lowest
loss; and with the better candidate of the two and rows of earlier tasks. Each retry has a folder in the
stage's folder. guard.json, written once all are tested, names the one to keep; its files are then put in the
place of the first ones. So a run that is killed anywhere ends in the same files.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

from pydantic import ConfigDict

from sapo_lite.errors import GuardError
from sapo_lite.evaluation.drops import Drop, paired_drop
from sapo_lite.evaluation.rows import Evaluation, WatchScores
from sapo_lite.learning.methods import METHODS, TaskGroup
from sapo_lite.run import paths
from sapo_lite.run.context import RunContext
from sapo_lite.run.results import GuardEvent
from sapo_lite.run.stage_folder import Stage, StageRecord
from sapo_lite.run.stages import AS_ASKED, Way, learn
from sapo_lite.run.testing import finish_stage
from sapo_lite.run.trained_task import TrainedTask
from sapo_lite.types import Task

# What a retry that is kept puts in the place of the first files; the record comes last.
_MOVED = (
    paths.ADAPTER,
    "predictions",
    "watched",
    f"{paths.REWRITES}.json",
    f"{paths.GRADIENT}.json",
    paths.HISTORY,
    paths.STAGE,
)


@dataclass(frozen=True)
class Decision:
    """Contents of guard.json: the ways a stage was learned in, the number of the one kept, and the drops."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    ways: list[Way]
    kept: int
    events: list[GuardEvent]


@dataclass(frozen=True)
class Learned:
    """A stage that was learned and tested in one way.

    tasks: trained tasks of the stage, by task id
    drops: of all guarded tasks, by name
    too_far: names of those past the line
    """

    way: Way
    tasks: dict[str, TrainedTask]
    record: StageRecord
    drops: dict[str, Drop]
    too_far: list[str]


def learn_guarded(
    context: RunContext,
    tasks: Sequence[Task],
    group: TaskGroup,
    past: Mapping[str, TrainedTask],
    stages: Sequence[Stage],
) -> tuple[Learned, list[GuardEvent]]:
    """Learn and test a stage, and do what the recipe's section [guard] says.

    past: tasks trained in earlier stages, by task id
    stages: folders of all stages so far; the last one is that of this stage

    Raises:
        GuardError: a task dropped too far, and the recipe says to stop.
    """
    stage = stages[-1]
    if stage.has(paths.GUARD):
        decision = stage.read(Decision, paths.GUARD)
        put_in_place(stage, decision.kept)
        way = decision.ways[decision.kept]
        return _learn(context, tasks, group, past, stages, stage, way), decision.events
    first = _learn(context, tasks, group, past, stages, stage, AS_ASKED)
    if not first.too_far:
        return first, []
    if context.recipe.guard.on == "stop":
        raise GuardError(_stopped(context, stages, first))
    tries = [first]
    if context.recipe.guard.on == "retry":
        tries += _retries(context, tasks, group, past, stages, first)
    best = _best(tries)
    kept = tries.index(best)
    events = _events(context, group, stages, tries, kept)
    decision = Decision([one.way for one in tries], kept, events)
    stage.cached(paths.GUARD, lambda: asdict(decision))
    put_in_place(stage, kept)
    if best is not tries[-1]:
        context.adapter.load(stage.adapter)
    for text in statements(events):
        context.progress.notice(text)
    return best, events


def _learn(
    context: RunContext,
    tasks: Sequence[Task],
    group: TaskGroup,
    past: Mapping[str, TrainedTask],
    stages: Sequence[Stage],
    folder: Stage,
    way: Way,
) -> Learned:
    """Learn and test the stage in one way, in the folder of the stage or of a retry."""
    number = len(stages) - 1
    found = learn(context, number, group, past, folder, way, scored=stages[-1])
    record = finish_stage(context, tasks, {**past, **found}, folder, group)
    guard = context.recipe.guard
    if guard.max_drop is None:
        return Learned(way, found, record, {}, [])
    drops = dict(_drops(context, tasks, stages, folder))
    before = dict(_drops(context, tasks, stages, stages[-2]))
    too_far = [
        name
        for name, drop in drops.items()
        if drop.passes(guard.max_drop, guard.unit) and drop.after < before[name].after
    ]
    return Learned(way, found, record, drops, too_far)


def _drops(
    context: RunContext, tasks: Sequence[Task], stages: Sequence[Stage], folder: Stage
) -> Iterator[tuple[str, Drop]]:
    """Drops, by name, in the test that `folder` keeps: of tasks since they were learned in earlier stages,
    and of what is watched since the test before any training."""
    kind = context.recipe.evaluation.kinds[0]
    learned_in = {key: stage for stage in stages[1:-1] for key in stage.record.choices}
    for task in tasks:
        if first := learned_in.get(task.key):
            yield task.key, paired_drop(*(_scores(stage, task, kind) for stage in (first, folder)))
    for name in context.watched:
        before, after = (_watched_scores(stage, name) for stage in (stages[0], folder))
        yield name, paired_drop(before, after)


def _scores(stage: Stage, task: Task, kind: str) -> list[float]:
    """Scores of the task's test rows in a finished stage, in percent, under one kind of prompt."""
    own = paths.predictions(task.key, kind)
    # Kinds with equal prompts share one file of answers.
    name = own if stage.has(own) else paths.predictions(task.key, "original")
    return [row.score for row in stage.read(Evaluation, name).rows]


def _watched_scores(stage: Stage, name: str) -> list[float]:
    return [row.score for row in stage.read(WatchScores, paths.watched(name)).rows]


def _best(tries: Sequence[Learned]) -> Learned:
    """The one in which no task dropped too far, or else the least; a tie goes to the earlier one."""
    return min(tries, key=lambda one: (bool(one.too_far), max(drop.drop for drop in one.drops.values())))


def _retries(
    context: RunContext,
    tasks: Sequence[Task],
    group: TaskGroup,
    past: Mapping[str, TrainedTask],
    stages: Sequence[Stage],
    first: Learned,
) -> list[Learned]:
    """The stage learned again from the adapter before it, until no task drops too far, at most twice."""
    tries = [first]
    (task,), stage = group, stages[-1]
    several = len(context.candidates(task)) > 1
    replays = bool(past) and not METHODS[context.recipe.adapter.method].replays
    for replay, possible in ((False, several), (True, replays)):
        if not possible or not tries[-1].too_far:
            continue
        way = Way(rank=_best(tries).way.rank, replay=True) if replay else Way(rank=1)
        names = ", ".join(tries[-1].too_far)
        context.progress.notice(f"{names} dropped too far: {task.name} is learned again with {_named(way)}")
        _go_back(context, stages[-2])
        folder = Stage(stage.path / f"{paths.RETRY}{len(tries)}", of=stage.place)
        tries.append(_learn(context, tasks, group, past, stages, folder, way))
    return tries[1:]


def _go_back(context: RunContext, before: Stage) -> None:
    """Put the adapter of the stage before in place; opening the first block clears an untrained one."""
    if before.adapter.exists():
        context.adapter.load(before.adapter)
    else:
        context.adapter.memory = {}


def put_in_place(stage: Stage, kept: int) -> None:
    """Move the files of the retry that is kept to the stage's folder, or go on where a process was killed."""
    if not kept:
        return
    retry, aside = stage.path / f"{paths.RETRY}{kept}", stage.path / paths.FIRST_TRY
    for name in _MOVED:
        new, own = retry / name, stage.path / name
        if not new.exists():
            continue  # moved before, or not made
        if own.exists():
            aside.mkdir(exist_ok=True)
            own.rename(aside / name)
        new.rename(own)
    with contextlib.suppress(OSError):
        retry.rmdir()


def _named(way: Way) -> str:
    parts = ["the next-best candidate"] * bool(way.rank) + ["replay"] * way.replay
    return " and ".join(parts) or "the first training"


def _events(
    context: RunContext, group: TaskGroup, stages: Sequence[Stage], tries: Sequence[Learned], kept: int
) -> list[GuardEvent]:
    """For each try, the drops of all tasks that dropped too far in any of them."""
    names = dict.fromkeys(name for one in tries for name in one.too_far)
    retried = context.recipe.guard.on == "retry"
    return [
        GuardEvent(
            stage=len(stages) - 1,
            task=name,
            **asdict(one.drops[name]),
            too_far=name in one.too_far,
            way=_named(one.way),
            action=("kept" if number == kept else "set aside") if retried else "warned",
        )
        for number, one in enumerate(tries)
        for name in names
    ]


def _stopped(context: RunContext, stages: Sequence[Stage], first: Learned) -> str:
    guard, good, stage = context.recipe.guard, stages[-2].adapter, stages[-1]
    unit = "points" if guard.unit == "points" else "standard errors"
    found = "; ".join(f"{name} {_dropped(first.drops[name])}" for name in first.too_far)
    last = f"The last good adapter is {good}" if good.exists() else "No stage before it has an adapter"
    return (
        f"{stage.path.name}: {found}. [guard] allows {guard.max_drop:g} {unit}, so the run stops here. "
        f"{last}. The same command says this again; with another [guard], use another --out."
    )


def _dropped(drop: Drop | GuardEvent) -> str:
    """`dropped by 25.0 points, from 75.0 to 50.0 (at least 10.2 with 95 % confidence, 12 test rows)`."""
    return (
        f"dropped by {drop.drop:.1f} points, from {drop.before:.1f} to {drop.after:.1f} (at least "
        f"{drop.bound or 0.0:.1f} with 95 % confidence, {drop.rows} test rows)"
    )


def statements(events: Sequence[GuardEvent]) -> list[str]:
    """A sentence for each task that dropped too far in a stage: what was done, and whether it helped."""
    found = []
    for stage, task in dict.fromkeys((event.stage, event.task) for event in events):
        own = [event for event in events if (event.stage, event.task) == (stage, task)]
        first, *others = own
        text = f"after stage {stage}, {task} {_dropped(first)}"
        for event in others:
            text += f"; with {event.way}: {event.drop:.1f} points"
        if kept := next((event for event in own if event.action == "kept"), None):
            better = "is too far still" if kept.too_far else "is within the line"
            text += f"; {kept.way} is kept, which {better}"
        found.append(text)
    return found
