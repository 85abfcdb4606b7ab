"""Curves of a run: tasks over stages, what is watched, and the losses of each training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.report.html.plots import Line, line_plot
from sapo_lite.run.read_run import StageRead
from sapo_lite.run.results import Results

_ROLES = ("first", "second", "third", "fourth")
_PERCENT = (-4.0, 104.0)  # points at 0 and 100 are not cut


@dataclass(frozen=True)
class Figure:
    """A plot under its title."""

    title: str
    plot: Markup
    note: str = ""


def task_curves(results: Results) -> Iterator[Figure]:
    """Each task over the stages, a line for every kind of prompt; a mark where the task was learned."""
    if len(results.lessons) == 0:
        return
    for column, task in enumerate(results.tasks):
        lines = [
            Line(kind, [(i, row[column]) for i, row in enumerate(by_metric[TASK_METRIC])], role)
            for role, (kind, by_metric) in zip(_ROLES, results.matrices.items(), strict=False)
        ]
        own = results.lessons.index(task) + 1 if task in results.lessons else None
        yield Figure(task, line_plot(lines, _in_words(task, lines), bounds=_PERCENT, marked=own))


def watched_curves(results: Results) -> Iterator[Figure]:
    """Each watched set or task over the stages."""
    for name, found in results.watched.items():
        lines = [Line(name, list(enumerate(found.scores)))]
        note = f"{found.metric}; {found.scores[-1] - found.scores[0]:+.1f} points since before any training"
        yield Figure(name, line_plot(lines, _in_words(name, lines), bounds=_PERCENT), note)


def training_curves(stages: Sequence[StageRead]) -> Iterator[Figure]:
    """The loss of each training step by step, and the adapter's penalty if there is one."""
    for stage in stages:
        history = stage.history
        if not history:
            continue
        lines = [Line("loss", [(step["step"], step["loss"]) for step in history])]
        if any(step["penalty"] for step in history):
            lines.append(Line("penalty", [(step["step"], step["penalty"]) for step in history], "second"))
        words = f"Training of {stage.name}: " + "; ".join(
            f"{line.name} from {line.points[0][1]:.3f} to {line.points[-1][1]:.3f}" for line in lines
        )
        last = history[-1]
        note = f"{len(history)} steps, loss {history[0]['loss']:.3f} to {last['loss']:.3f}"
        yield Figure(stage.name, line_plot(lines, words), note)


def _in_words(task: str, lines: Sequence[Line]) -> str:
    """All values, for those who do not see the plot."""
    found = (f"{line.name} {', '.join(f'{y:.1f}' for _, y in line.points)}" for line in lines)
    return f"Scores of {task} in percent by stage from 0: {'; '.join(found)}"
