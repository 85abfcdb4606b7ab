"""Live display of a running command on a terminal. sapo_lite.report.plain is the display for anything else.

Both write to stderr; the results at the end go to stdout (sapo_lite.report.run_summary).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.spinner import Spinner
from rich.table import Column
from rich.text import Text

from sapo_lite.prompts.indicators import CandidateValue, Indicator
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.prompts.pool import Rejection
from sapo_lite.report.measures import measure
from sapo_lite.report.tables import candidate_table, indicator_table, pool_table, score_matrix, watched_table
from sapo_lite.support.progress import Meter
from sapo_lite.types import Candidate


class _Rate(ProgressColumn):
    """Column with the speed in units per second, such as `312 examples/s`."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        amount = f"{speed:.3g}" if speed and speed < 1000 else f"{speed or 0:.0f}"
        return Text(f"{amount} {task.fields['unit']}/s" if speed else "", style="progress.data.speed")


# Width of a terminal, in characters, from which on a progress line also shows its speed and the time left.
_ROOMY = 75


class LiveDisplay:
    """A RunProgress redrawn in place: stage, candidate table, progress bars, R so far.

    The final leaderboard of a task is printed above it.
    """

    def __init__(self, console: Console, title: str) -> None:
        self._title = title
        self._stage = ""
        self._note = ""
        self._began = time.monotonic()
        self._spinner = Spinner("dots")
        self._table: RenderableType = Text()
        self._matrix: RenderableType = Text()
        self._progress = _progress(console.width)
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> "LiveDisplay":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _render(self) -> RenderableType:
        heading = Text(self._title, style="bold", no_wrap=True, overflow="ellipsis")
        heading.append(f"  {self._stage}", style="cyan")
        if not self._progress.task_ids:  # nothing to count: a spinner and the seconds show that it works
            heading.append(f"  {time.monotonic() - self._began:.0f} s")
            self._spinner.update(text=heading)
            return Group(self._spinner, self._table, self._matrix)
        note = Text(self._note, style="cyan", no_wrap=True, overflow="ellipsis")
        return Group(heading, self._table, self._progress, note, self._matrix)

    def stage(self, title: str) -> None:
        self._stage = title
        self._began = time.monotonic()
        self._table = Text()
        for task in self._progress.task_ids:
            self._progress.remove_task(task)

    @contextmanager
    def work(self, label: str, total: int, unit: str) -> Iterator[Meter]:
        progress = self._progress
        task = progress.add_task(label, total=total, unit=unit)
        display = self

        class Bar:
            def advance(self, amount: int = 1, note: str = "") -> None:
                display._note = note
                progress.update(task, advance=amount)

        yield Bar()
        self._note = ""
        progress.remove_task(task)  # else bars would add up: training may score many times

    def pool(
        self, task: str, candidates: Sequence[Candidate], rejected: Sequence[Rejection], wanted: int
    ) -> None:
        self._table = pool_table(task, candidates, rejected, rows=6)

    def candidates(
        self, pool: Sequence[Candidate], scores: Sequence[CandidateLoss], final: bool = False
    ) -> None:
        if final:
            self._table = Text()
            self._live.console.print(Text(self._stage, style="bold"), candidate_table(pool, scores, rows=5))
        else:
            self._table = candidate_table(pool, scores, rows=8)

    def indicated(
        self, pool: Sequence[Candidate], values: Sequence[CandidateValue], indicator: Indicator
    ) -> None:
        table = indicator_table(pool, values, indicator, rows=5)
        self._live.console.print(Text(self._stage, style="bold"), table)

    def scores(
        self,
        metrics: Mapping[str, str],
        groups: Sequence[str],
        rows: Sequence[Sequence[float]],
        watched: Mapping[str, Sequence[float]],
    ) -> None:
        self._matrix = score_matrix(metrics, groups, rows, f"R so far: {measure(metrics.values())}, %")
        if watched:
            self._matrix = Group(self._matrix, watched_table(groups, watched, "watched so far, %"))

    def notice(self, text: str) -> None:
        self._live.console.print(Text.assemble(("note: ", "yellow"), text))


def _progress(width: int) -> Progress:
    """Progress bars, a line each. A narrow terminal gets shorter bars, without speed and time left."""
    whole = Column(no_wrap=True)
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False, table_column=whole.copy()),
        BarColumn(None, table_column=Column(max_width=40)),
        MofNCompleteColumn(table_column=whole.copy()),
    ]
    if width >= _ROOMY:
        columns.append(_Rate(table_column=whole.copy()))
    columns.append(TimeElapsedColumn(table_column=whole.copy()))
    if width >= _ROOMY:
        columns.append(TimeRemainingColumn(table_column=whole.copy()))
    return Progress(*columns)
