"""The candidates of a task as the report shows them: losses against the chosen one, and both wordings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from sapo_lite.leaderboard.board import Row, rows_of
from sapo_lite.prompts.confidence import statement
from sapo_lite.prompts.intervals import relative_loss
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.report.html.plots import Dot, dot_plot
from sapo_lite.report.html.words import side_by_side
from sapo_lite.run import paths
from sapo_lite.run.read_run import StageRead
from sapo_lite.run.results import Results
from sapo_lite.run.stage_folder import Stage
from sapo_lite.support.checked_json import read_checked
from sapo_lite.support.files import MADE_AGAIN
from sapo_lite.types import Candidate, abbreviated

MOST_SHOWN = 40  # of a task's candidates, in plot and table: the best ones, the original and the chosen one


@dataclass(frozen=True)
class Scored:
    """The choice of one task.

    before, after: the original and the chosen wording, words that differ marked; equal if it was kept
    plot, rows: losses of the candidates, the best first; None and empty if none were measured
    left_out: number of candidates that are not shown
    """

    task: str
    chosen: int
    origin: str
    before: Markup
    after: Markup
    statement: str | None
    plot: Markup | None
    rows: list[Row]
    left_out: int


def scored_candidates(run: Path, results: Results, task: str, stages: Sequence[StageRead]) -> Scored | None:
    """What was chosen for a task and from what; None if there was nothing to choose from."""
    pool, chosen = _pool(run, task), results.chosen[task]
    if len(pool) < 2:
        return None
    scores = _losses(run, task, stages)
    margin = results.certainty.get(task)
    every = rows_of(pool, scores)
    rows = [row for row in every if row.rank <= MOST_SHOWN or row.index in (0, chosen.index)]
    before, after = side_by_side(pool[0].text, chosen.text)
    return Scored(
        task,
        chosen.index,
        chosen.origin,
        before,
        after,
        statement(margin) if margin else None,
        _plot(task, rows, scores, chosen) if scores else None,
        rows,
        len(every) - len(rows),
    )


def _plot(task: str, rows: Sequence[Row], scores: Sequence[CandidateLoss], chosen: Candidate) -> Markup:
    by_index = {score.index: score for score in scores}
    dots = list(_dots(rows, by_index, chosen.index))
    dropped = sum(row.partial for row in rows)
    words = (
        f"Losses of {len(dots)} candidates of {task} relative to the chosen one, #{chosen.index}, in nats "
        f"per answer token: from {min(d.value for d in dots):+.3f} to {max(d.value for d in dots):+.3f}; "
        f"{dropped} left the race early. The table below has all numbers."
    )
    return dot_plot(dots, words)


def _dots(rows: Sequence[Row], scores: dict[int, CandidateLoss], chosen: int) -> Iterator[Dot]:
    for row in rows:
        found = relative_loss(scores[row.index], scores[chosen])
        name = "original" if row.index == 0 else f"#{row.index}"
        interval = "" if found.low is None else f", 95 % {found.low:+.3f} to {found.high:+.3f}"
        text = f"{name}: {found.mean:+.4f} nats per token{interval}, {found.examples} examples"
        yield Dot(name, found.mean, found.low, found.high, _role(row, chosen), text)


def _role(row: Row, chosen: int) -> str:
    if row.index == chosen:
        return "best"
    if row.index == 0:
        return "original"
    return "dropped" if row.partial else "other"


def _pool(run: Path, task: str) -> list[Candidate]:
    """The candidates of a task, given by its key; empty if the run had none."""
    files = {file.stem: file for file in paths.pools(run)}
    stem = task if task in files else next((s for s in files if abbreviated(s) == task), None)
    stem = stem or next((s for s in files if s.startswith(task)), None)
    if stem is None:
        return []
    found = read_checked(files[stem], MADE_AGAIN, f"{paths.CANDIDATES}/{stem}")
    return [Candidate(one["index"], one["text"], one["origin"]) for one in found["candidates"]]


def _losses(run: Path, task: str, stages: Sequence[StageRead]) -> list[CandidateLoss]:
    """Losses of a task's candidates, wherever they were measured; empty if they were not."""
    own = [stage.folder for stage in stages if task in stage.tasks]
    for stage in map(Stage, [run / paths.BASE, *own]):
        for name in (paths.of_task(paths.LOSSES, task), paths.LOSSES):
            if stage.has(name):
                return stage.read(list[CandidateLoss], name)
    return []
