"""What `show`, `runs` and `diff` print: an unfinished run, a list of runs, rows that changed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sapo_lite.evaluation.flips import Flip
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.report.colours import BAD, CARE, GOOD
from sapo_lite.report.measures import measure
from sapo_lite.report.number_table import NumberTable
from sapo_lite.report.run_summary import chosen_table, usage_line
from sapo_lite.report.tables import score_matrix, shorten, spaced, watched_table
from sapo_lite.run.overview import Overview
from sapo_lite.run.read_run import StageRead
from sapo_lite.run.stage_folder import StageRecord
from sapo_lite.support.messages import many

_LONGEST_INPUT = 400  # characters of an input that are printed; --json has all


def unfinished_run(
    run: Overview, stages: Sequence[StageRead], usage: Mapping[str, Mapping[str, float]]
) -> RenderableType:
    """R, the chosen prompts, time and memory of a run as far as it is."""
    return Group(*spaced(_unfinished_parts(run, stages, usage)))


def _unfinished_parts(
    run: Overview, stages: Sequence[StageRead], usage: Mapping[str, Mapping[str, float]]
) -> Iterator[RenderableType]:
    yield Text(
        f"{run.name}: {run.strategy} on {run.adapter}, seed {run.seed}; not finished: {run.done} of "
        f"{run.stages} stages are done",
        style="bold",
    )
    done = [(stage, stage.record) for stage in stages if stage.record]
    if done:
        yield from _scores(run, [stage.name for stage, _ in done[1:]], [record for _, record in done])
    if chosen := {task: own.chosen for _, record in done for task, own in record.choices.items()}:
        yield chosen_table(chosen)
    if usage["seconds"]:
        yield usage_line(usage)
    if under_way := next((stage for stage in stages if not stage.record), None):
        yield Text(f"under way: {_stage_name(under_way)}{_steps(under_way)}")
    yield Text(f"everything is in {run.folder}")


def _scores(run: Overview, groups: Sequence[str], records: Sequence[StageRecord]) -> Iterator[RenderableType]:
    kind = next(iter(records[0].scores))
    rows = [[scores[TASK_METRIC] for scores in record.scores[kind]] for record in records]
    title = f"R so far: {measure(run.task_metrics.values())} in percent, tested with {kind} prompts"
    yield score_matrix(run.task_metrics, groups, rows, title)
    if names := list(records[0].watched):
        watched = {name: [record.watched[name].score for record in records] for name in names}
        yield watched_table(groups, watched, "watched, never trained; scores in percent after training")


def _steps(stage: StageRead) -> str:
    """`, step 12 of 40, loss 0.513`, if the stage has begun to train."""
    last = stage.history[-1] if stage.history else {}
    if not {"step", "steps", "loss"} <= last.keys():
        return ""
    return f", step {last['step']} of {last['steps']}, loss {last['loss']:.3f}"


def _stage_name(stage: StageRead) -> str:
    return f"stage {stage.number} ({stage.name})"


def list_of_runs(parent: Path, runs: Sequence[Overview], faults: Sequence[str]) -> RenderableType:
    """A row for every run, and a note for every one that cannot be read."""
    rows = [
        [
            str(run.folder.relative_to(parent)),
            run.name,
            run.model.rsplit("/", 1)[-1],
            run.strategy,
            run.adapter,
            str(run.seed),
            f"{run.done}/{run.stages}",
            *("-" if (value := run.value(name)) is None else f"{value:.2f}" for name in ("AP", "BWT")),
            f"{run.changed:%Y-%m-%d}",
        ]
        for run in runs
    ]
    headings = ["run", "recipe", "model", "strategy", "adapter", "seed", "stages", "AP", "BWT", "changed"]
    title = f"runs in {parent}, the newest last"
    table = NumberTable(title, headings, rows, texts=5, fold=True) if runs else Text(f"no run in {parent}")
    return Group(table, *(Text(f"note: {fault}", style=CARE) for fault in faults))


def changed_rows_view(
    changes: Mapping[str, Sequence[Flip]], stages: Sequence[StageRead], since: str
) -> RenderableType:
    """Rows whose score changed, by task, each with its input, reference and answers.

    since: between which stages, in words
    """
    names = {stage.number: _stage_name(stage) for stage in stages}
    parts: list[RenderableType] = []
    for task, found in changes.items():
        lost = sum(flip.lost for flip in found)
        parts.append(
            Text(f"{task}: {many(lost, 'row')} lost, {len(found) - lost} gained {since}", style="bold")
        )
        parts += [_flip(flip, names[flip.stage]) for flip in found]
    return Group(*spaced(parts))


def _flip(flip: Flip, stage: str) -> RenderableType:
    what, style = ("lost", BAD) if flip.lost else ("gained", GOOD)
    heading = Text(
        f"row {flip.row}, {what} in {stage}: {flip.score_before:.1f} -> {flip.score_after:.1f}", style
    )
    references = [flip.reference] if isinstance(flip.reference, str) else flip.reference
    table = Table.grid("", "", padding=(0, 2))
    table.add_row("input", Text(shorten(flip.input, _LONGEST_INPUT)))
    table.add_row("reference", Text(" | ".join(references)))
    table.add_row("before", Text(flip.before or "(nothing)"))
    table.add_row("after", Text(flip.after or "(nothing)"))
    return Group(heading, Padding(table, (0, 0, 0, 2), expand=False))
