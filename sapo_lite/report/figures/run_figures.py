"""Figures of one finished run."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.leaderboard.board import rows_of
from sapo_lite.report.dots import loss_dots
from sapo_lite.report.figures.style import COLOURS, DASHES, MARKERS, dots, figure, legend, panels
from sapo_lite.report.html.candidates import MOST_SHOWN
from sapo_lite.report.measures import headings, measure
from sapo_lite.run.read_candidates import read_candidates, read_losses
from sapo_lite.run.read_run import StageRead, read_stages
from sapo_lite.run.results import Results, read_results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run_figures(run: Path) -> Iterator[tuple[str, "Figure"]]:
    """Name and figure: R for each kind of prompt, tasks over stages, trainings, losses of candidates.

    Raises:
        RunFolderError: there is no finished run, or one of its files is damaged.
    """
    results, stages = read_results(run), read_stages(run)
    for kind in results.matrices:
        yield f"R-{kind}", _heat_map(results, kind)
    if results.lessons:
        yield "tasks", _tasks(results)
    if trained := [stage for stage in stages if stage.history]:
        yield "training", _training(trained)
    for task in results.chosen:
        if drawn := _candidates(run, results, task, stages):
            yield f"candidates-{task}", drawn


def _heat_map(results: Results, kind: str) -> "Figure":
    r = results.matrices[kind][TASK_METRIC]
    names = headings(results.task_metrics)
    drawn = figure(1.4 + 0.6 * len(names), 1.0 + 0.28 * len(r))
    axes = drawn.add_subplot()
    shown = axes.imshow(r, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    for i, row in enumerate(r):
        for j, score in enumerate(row):
            # White on the dark half of the map; a task's own score, right after its training, is bold.
            own = i > 0 and results.lessons[i - 1] == results.tasks[j]
            colour, weight = ("white" if score < 50 else "black"), ("bold" if own else "normal")
            axes.text(j, i, f"{score:.1f}", ha="center", va="center", color=colour, weight=weight, size=7)
    after = ["nothing", *(f"{n} {lesson}" for n, lesson in enumerate(results.lessons, start=1))]
    axes.set_yticks(range(len(r)), after[: len(r)])
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.spines[:].set_visible(False)
    axes.set_ylabel("after training")
    axes.set_title(f"{measure(results.task_metrics.values())} in percent, {kind} prompts")
    drawn.colorbar(shown, ax=axes)
    return drawn


def _tasks(results: Results) -> "Figure":
    drawn, axes = panels(len(results.tasks))
    for column, (panel, task) in enumerate(zip(axes, results.tasks, strict=True)):
        for number, (kind, by_metric) in enumerate(results.matrices.items()):
            scores = [row[column] for row in by_metric[TASK_METRIC]]
            (line,) = panel.plot(scores, marker=MARKERS[number % 4], markersize=3, label=f"{kind} prompts")
            line.set(color=COLOURS[number % 4], linestyle=DASHES[number % 4])
        if task in results.lessons:
            panel.axvline(results.lessons.index(task) + 1, color="#555555", linewidth=0.6)
        panel.set_title(task)
        panel.set_ylim(-4, 104)
        panel.set_xticks(range(len(results.lessons) + 1))
    axes[0].set_ylabel(f"{measure(results.task_metrics.values())}, percent")
    legend(drawn, axes[0])
    drawn.supxlabel("stage; the line marks the one in which the task was learned", size=8)
    return drawn


def _training(stages: list[StageRead]) -> "Figure":
    drawn, axes = panels(len(stages))
    for panel, stage in zip(axes, stages, strict=True):
        steps = [step["step"] for step in stage.history]
        for place, name in enumerate(("loss", "penalty")):
            values = [step[name] for step in stage.history]
            if any(values):
                (line,) = panel.plot(steps, values, linewidth=1, label=name)
                line.set(color=COLOURS[place], linestyle=DASHES[place])
        panel.set_title(stage.name)
    axes[0].set_ylabel("nats per answer token")
    legend(drawn, axes[0])
    drawn.supxlabel("optimiser step", size=8)
    return drawn


def _candidates(run: Path, results: Results, task: str, stages: list[StageRead]) -> "Figure | None":
    scores = {score.index: score for score in read_losses(run, task, stages)}
    chosen = results.chosen[task].index
    if len(scores) < 2 or chosen not in scores:
        return None
    rows = rows_of(read_candidates(run, task), list(scores.values()))
    shown = [row for row in rows if row.rank <= MOST_SHOWN or row.index in (0, chosen)]
    label = "loss minus that of the chosen prompt, nats per answer token (95 % interval)"
    return dots(loss_dots(shown, scores, chosen), label)
