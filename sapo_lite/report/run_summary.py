"""Summary of a finished run for stdout, as rich renderables."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.evaluation.robustness import AVERAGED
from sapo_lite.prompts.confidence import Difference
from sapo_lite.report.measures import headings, measure
from sapo_lite.report.number_table import NumberTable
from sapo_lite.report.tables import score_matrix, shorten, spaced, titled, watched_table
from sapo_lite.report.verdict import verdict
from sapo_lite.run.results import AnswersRewritten, Results
from sapo_lite.types import Candidate

_PROMPTED = {
    "chosen": "learned tasks tested with their chosen prompt",
    "original": "all tasks tested with their original prompt",
    "unseen": "all tasks tested with paraphrases held out",
}

# Matrices that are shown: of whole answers and, if training answers were rewritten, of final answers.
_READ = {TASK_METRIC: "", f"{TASK_METRIC}_extracted": " of the final answers alone"}


def summary(results: Results, usage: Mapping[str, Mapping[str, float]], folder: Path) -> RenderableType:
    """R, AP, BWT and FWT, the chosen prompts, time and memory, and the run folder."""
    return Group(*spaced(_summary_parts(results, usage, folder)))


def _summary_parts(
    results: Results, usage: Mapping[str, Mapping[str, float]], folder: Path
) -> Iterator[RenderableType]:
    found, of_tasks = next(iter(results.matrices.values())), measure(results.task_metrics.values())
    read = {metric: of_tasks + what for metric, what in _READ.items() if metric in found}
    for kind, by_metric in results.matrices.items():
        for metric, what in read.items():
            title = f"R: {what} in percent, {_PROMPTED[kind]}"
            yield score_matrix(results.task_metrics, results.lessons, by_metric[metric], title)
    for metric, what in read.items():
        yield _metrics_table(results, metric, what)
        if left_out := _left_out(results, metric):
            yield Text(left_out)
    if results.wordings:
        yield _wordings_table(results)
    if results.watched:
        yield _watched_table(results)
    if results.robustness:
        yield _robustness_table(results)
    if results.chosen:
        yield chosen_table(results.chosen)
    if results.rescorings:
        yield _changes_table(results)
    if results.rewriting:
        yield _rewriting_table(results.rewriting)
    if any(results.certainty.values()):
        yield _certainty_table(results)
    yield usage_line(usage)
    for notice in results.notices:
        yield Text(f"note: {notice}", style="bold")
    yield Text("\n".join(verdict(results)), style="bold")
    yield Text(f"everything is in {folder}")


def usage_line(usage: Mapping[str, Mapping[str, float]]) -> RenderableType:
    """Seconds by kind of work and peak memory by device."""
    seconds = usage["seconds"]
    return Text(
        "time: "
        + ", ".join(f"{kind} {value:.1f} s" for kind, value in seconds.items())
        + f"; {sum(seconds.values()):.1f} s in all. "
        + "peak memory: "
        + ", ".join(f"{device} {value:.2f} GB" for device, value in usage["peak_memory_gb"].items())
    )


def _metrics_table(results: Results, metric: str, what: str) -> RenderableType:
    title = f"{results.strategy} on {results.adapter}, {what} in percent"
    rows: list[list[str | Text]] = []
    for name, formula in results.formulas.items():
        values = [results.value(kind, metric, name) for kind in results.metrics]
        numbers = ("-" if value is None else f"{value:.2f}" for value in values)
        rows.append([name, *numbers, Text(formula, style="dim")])
    headings = ["metric", *(f"{kind} prompts" for kind in results.metrics), "formula"]
    return NumberTable(title, headings, rows, tail=True)


def _left_out(results: Results, metric: str) -> str:
    """A sentence on the tasks that are not in the retention; empty if all are."""
    counts = {kind: by_metric[metric].left_out for kind, by_metric in results.retention.items()}
    found = [f"{count} with {kind} prompts" for kind, count in counts.items() if count]
    return f"retention leaves out tasks with R[j,j] = 0: {', '.join(found)}" if found else ""


def _wordings_table(results: Results) -> RenderableType:
    """A row for each task: its score right after it was learned and at the end, by kind of prompt."""
    names = headings(results.task_metrics)
    rows = [
        [name, *(f"{own[task].learned:.1f} -> {own[task].end:.1f}" for own in results.wordings.values())]
        for task, name in zip(results.tasks, names, strict=True)
    ]
    of_tasks = measure(results.task_metrics.values())
    title = f"test matrix: {of_tasks} in percent, R[j,j] right after learning -> R[N,j] at the end"
    return NumberTable(title, ["task", *(f"{kind} prompts" for kind in results.wordings)], rows)


def _watched_table(results: Results) -> RenderableType:
    """A row for each watched set and task, and for each category of a set."""
    rows: dict[str, list[float]] = {}
    for name, found in results.watched.items():
        rows[f"{name} ({found.metric})"] = found.scores
        rows |= {f"  {part}": scores for part, scores in found.parts.items()}
    title = "general ability: watched, never trained; scores in percent after training"
    return watched_table(results.lessons, rows, title)


def _robustness_table(results: Results) -> RenderableType:
    """A row for each task, with dashes if it has no held-out prompts, and their averages."""
    reports = [report for report in results.robustness.values() if report]
    rows: dict[str, dict[str, Any]] = {
        task: asdict(report) if report else {"n": 0} for task, report in results.robustness.items()
    }
    if len(reports) > 1:
        rows["average"] = dict(results.robustness_averages)
    names = dict(zip(results.task_metrics, headings(results.task_metrics), strict=True))
    cells = [
        [names.get(task, task), str(row.get("n", "")), *(_percent(row.get(name)) for name in AVERAGED)]
        for task, row in rows.items()
    ]
    share = f"; share of them at {reports[0].threshold:g} or more" if reports else ""
    of_tasks = measure(results.task_metrics.values())
    title = f"robustness: {of_tasks} in percent over held-out prompts{share}"
    return NumberTable(title, ["task", "prompts", *AVERAGED], cells)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def chosen_table(chosen: Mapping[str, Candidate]) -> RenderableType:
    """The prompts that tasks were trained with, by task key."""
    table = Table(box=None, pad_edge=False)
    table.add_column("task", overflow="fold")
    table.add_column("candidate", justify="right", no_wrap=True)
    table.add_column("instruction", overflow="fold")
    for task, candidate in chosen.items():
        number = "original" if candidate.index == 0 else f"#{candidate.index} {candidate.origin}"
        table.add_row(task, number, Text(" ".join(candidate.text.split()) or "(none)"))
    return titled("prompts trained with", table)


def _changes_table(results: Results) -> RenderableType:
    found = [(task, one) for task, several in results.rescorings.items() for one in several]
    changes = [(task, one) for task, one in found if one.after != one.before]
    rows = [
        [task, str(one.epoch), f"#{one.after}", f"#{one.before}", f"{-one.lead:+.3f}"]
        for task, one in changes
    ]
    title = f"prompts changed while training: {len(changes)} in {len(found)} rescorings"
    headings = ["task", "from epoch", "candidate", "instead of", "loss"]
    return NumberTable(title, headings, rows) if changes else Text(title, style="italic")


def _rewriting_table(rewriting: Mapping[str, AnswersRewritten]) -> RenderableType:
    rows = []
    for task, found in rewriting.items():
        first, last = found.first_reward, found.last_reward
        rows.append(
            [
                task,
                *(f"{share:.0%}" for share in (found.rewritten, found.kept, found.changed)),
                "untrained" if first is None or last is None else f"{first:.3f} to {last:.3f}",
                " -> ".join(shorten(text, 40) for text in found.sample) if found.sample else "",
            ]
        )
    headings = ["task", "rewritten", "kept", "in other words", "policy's mean reward", "sample"]
    return NumberTable("training answers rewritten in the backbone's own words", headings, rows, tail=True)


def _certainty_table(results: Results) -> RenderableType:
    # Changes by rescoring are in a table of their own.
    when = " before training" if results.rescorings else ""
    what = "differences of loss, nats per answer token (95 % interval; examples)"
    rows = []
    for task, certainty in results.certainty.items():
        if certainty:
            rival, original = certainty.runner_up, certainty.original
            rows.append(
                [
                    task,
                    f"#{rival.other} {_difference(rival)}",
                    _difference(original) if original else "is chosen",
                    "within noise" if certainty.within_noise else "",
                ]
            )
    headings = ["task", "to the runner-up", "to the original", ""]
    title = f"lead of the chosen prompts{when}, after correction for the choice: {what}"
    return NumberTable(title, headings, rows, tail=True, justify="left")


def _difference(difference: Difference) -> str:
    """A difference of losses with its interval and number of examples: `-0.076 (-0.991 to +0.910; 32)`."""
    bounds = difference.interval
    interval = "" if bounds is None else f"{bounds[0]:+.3f} to {bounds[1]:+.3f}; "
    return f"{difference.mean:+.3f} ({interval}{difference.examples})"
