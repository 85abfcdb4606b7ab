"""The candidates of a task as the report shows them: losses against the chosen one, and both wordings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from sapo_lite.leaderboard.board import Row, rows_of
from sapo_lite.prompts.confidence import statement
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.report.dots import loss_dots
from sapo_lite.report.html.plots import dot_plot
from sapo_lite.report.html.words import side_by_side
from sapo_lite.run.read_candidates import read_candidates, read_losses
from sapo_lite.run.read_run import StageRead
from sapo_lite.run.results import Results
from sapo_lite.types import Candidate

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
    pool, chosen = read_candidates(run, task), results.chosen[task]
    if len(pool) < 2:
        return None
    scores = read_losses(run, task, stages)
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
    dots = loss_dots(rows, by_index, chosen.index)
    dropped = sum(row.partial for row in rows)
    words = (
        f"Losses of {len(dots)} candidates of {task} relative to the chosen one, #{chosen.index}, in nats "
        f"per answer token: from {min(d.value for d in dots):+.3f} to {max(d.value for d in dots):+.3f}; "
        f"{dropped} left the race early. The table below has all numbers."
    )
    return dot_plot(dots, words)
