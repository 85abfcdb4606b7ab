"""The results of a run in sentences: what was learned and forgotten, and how much the wording matters."""

from collections.abc import Iterator, Sequence

from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.report.measures import measure
from sapo_lite.run.results import Results
from sapo_lite.support.messages import many

# A smaller loss of a task is not named, and a task that gained less counts as hardly learned, in points.
NAMED = 5.0
# So many tasks get a sentence of their own.
MOST_NAMED = 3
# A task that scored so much before any training has little left to gain, in percent.
ALREADY_KNOWN = 90.0

_WORDINGS = {
    "original": "under the original wordings",
    "unseen": "under wordings held out from the choice",
    "other": "under the wordings that another run chose",
}


def verdict(results: Results) -> list[str]:
    """What a reader of the results should know first, a sentence each, the most important first.

    Scores are in percent of the first kind of prompt that was tested, differences in points.
    """
    r = next(iter(results.matrices.values()))[TASK_METRIC]
    if len(r) == 1:
        return [f"Nothing was trained: {_ap(results, r[-1])}.", *_by_wording(results)]
    if len(r) <= len(results.tasks):
        together = f"Trained on {many(len(results.tasks), 'task')} at once, {_ap(results, r[-1])}"
        return [f"{together}, {_mean(r[0]):.1f} before.", *_by_wording(results), *_watched(results)]
    return [
        _kept(results, r),
        *_forgotten(results, r),
        *_not_learned(results, r),
        *_by_wording(results),
        *_choices(results),
        *_watched(results),
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _ap(results: Results, last: Sequence[float]) -> str:
    metric = measure(results.task_metrics.values())
    return f"the model scores {_mean(last):.1f} of 100 points ({metric}, mean over tasks)"


def _kept(results: Results, r: Sequence[Sequence[float]]) -> str:
    """What is left at the end of what was there right after each task was learned."""
    after, metric = f"After {many(len(results.tasks), 'task')}", measure(results.task_metrics.values())
    if len(results.tasks) == 1:
        return f"After its one task, {_ap(results, r[-1])}, {_mean(r[0]):.1f} before."
    learned, end = _mean([r[j + 1][j] for j in range(len(r[0]))]), _mean(r[-1])
    if end < learned:
        return (
            f"{after} the model keeps {end:.1f} of the {learned:.1f} points ({metric}, mean over tasks) "
            f"that it had right after learning each; before any training it had {_mean(r[0]):.1f}."
        )
    more = f"{end - learned:.1f} more than" if end - learned >= 0.05 else "as many as"
    return (
        f"{after}, {_ap(results, r[-1])}, {more} right after learning each; before any training "
        f"it had {_mean(r[0]):.1f}."
    )


def _forgotten(results: Results, r: Sequence[Sequence[float]]) -> Iterator[str]:
    """The tasks that lost most since they were learned, each with the stage that took most of it."""
    lost = {task: r[j + 1][j] - r[-1][j] for j, task in enumerate(results.tasks[:-1])}
    named = sorted((task for task in lost if lost[task] >= NAMED), key=lambda task: -lost[task])
    for task in named[:MOST_NAMED]:
        column = [row[results.tasks.index(task)] for row in r]
        yield f"{task} lost {lost[task]:.1f} points{_culprit(results, column, task, lost[task])}."
    if more := named[MOST_NAMED:]:
        yield f"{many(len(more), 'more task')} lost {NAMED:g} points or more: {', '.join(more)}."
    rest = len(lost) - len(named)
    if rest and named:
        yield f"{many(rest, 'other task')} lost less than {NAMED:g} points."
    elif rest:
        most = max(lost, key=lambda task: lost[task])
        yield (
            f"No task lost {NAMED:g} points or more; the most is {lost[most]:.1f}, by {most}."
            if lost[most] > 0
            else "No earlier task lost anything."
        )


def _culprit(results: Results, column: Sequence[float], task: str, lost: float) -> str:
    """The stage after the task's own in which it lost most."""
    own = results.tasks.index(task) + 1
    drops = {i: column[i - 1] - column[i] for i in range(own + 1, len(column))}
    worst = max(drops, key=lambda i: drops[i])
    while_learning = f"while learning {results.lessons[worst - 1]}"
    if len(drops) == 1:
        return f" {while_learning}"
    if drops[worst] > lost / 2:
        return f", most of it {while_learning}"
    return f", the most at once ({drops[worst]:.1f}) {while_learning}"


def _not_learned(results: Results, r: Sequence[Sequence[float]]) -> Iterator[str]:
    """Tasks whose own training changed little: they can lose nothing, which is no merit."""
    trained = {task: (r[j][j], r[j + 1][j]) for j, task in enumerate(results.tasks)}
    found = [t for t, (before, after) in trained.items() if after - before < NAMED and before < ALREADY_KNOWN]
    if len(found) > MOST_NAMED:
        yield (
            f"{len(found)} tasks were hardly learned, their own training added less than {NAMED:g} points: "
            f"{', '.join(found)}."
        )
        return
    for task in found:
        before, after = trained[task]
        yield f"{task} was hardly learned: its own training took it from {before:.1f} to {after:.1f}."


def _by_wording(results: Results) -> Iterator[str]:
    """The score at the end under other kinds of prompt than the first."""
    first, *others = results.metrics
    own = results.metrics[first][TASK_METRIC].ap
    for kind in others:
        if kind in _WORDINGS:
            found = results.metrics[kind][TASK_METRIC].ap
            yield f"{_WORDINGS[kind].capitalize()} it ends at {found:.1f} points instead of {own:.1f}."


def _choices(results: Results) -> Iterator[str]:
    """How many choices differ from the original, and how many of these lead it beyond noise."""
    margins = [margin for margin in results.certainty.values() if margin]
    if not margins:
        return
    others = [margin.original for margin in margins if margin.original]
    clear = sum(1 for one in others if one.interval and one.interval[1] < 0)
    if not others:
        yield f"The original wording was kept for {_all(len(margins))}."
        return
    kept = len(margins) - len(others)
    yield (
        f"For {many(len(others), 'task')} another wording than the original was chosen; its loss is clearly "
        f"lower for {clear} (95 % interval)" + (f", and {kept} kept the original." if kept else ".")
    )


def _all(count: int) -> str:
    return "the one task" if count == 1 else f"all {count} tasks"


def _watched(results: Results) -> Iterator[str]:
    """What was watched and never trained, if it changed by more than a point."""
    for name, found in results.watched.items():
        change = found.scores[-1] - found.scores[0]
        if abs(change) >= 1:
            to = "fell" if change < 0 else "rose"
            yield (
                f"{name}, which is watched and never trained, {to} from {found.scores[0]:.1f} "
                f"to {found.scores[-1]:.1f}."
            )
