"""Live display of a running command on a terminal. sapo_lite.report.plain is the display for anything else.

Both write to stderr; the results at the end go to stdout (sapo_lite.report.run_summary).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
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
from rich.segment import Segment
from rich.spinner import Spinner
from rich.table import Column
from rich.text import Text

from sapo_lite.prompts.indicators import CandidateValue, Indicator
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.prompts.pool import Rejection
from sapo_lite.report.colours import ACTIVE
from sapo_lite.report.console import print_above
from sapo_lite.report.measures import measure
from sapo_lite.report.overall import Overall
from sapo_lite.report.tables import candidate_table, indicator_table, pool_table, score_matrix, watched_table
from sapo_lite.run.memory import memory_gb
from sapo_lite.run.workplan import RunPlan
from sapo_lite.support.messages import duration
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

    The final leaderboard of a task is printed above it. It fits the height of the terminal: the candidate
    table gives way first; an R too long to stand below it is printed above, too.
    """

    def __init__(self, console: Console, title: str) -> None:
        self._title = title
        self._console = console
        self._overall: Overall | None = None
        self._stage = ""
        self._note = ""
        self._began = time.monotonic()
        self._spinner = Spinner("dots")
        self._table: RenderableType = Group()
        self._matrix: RenderableType = Group()
        self._progress = _progress(console.width)
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> "LiveDisplay":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _render(self) -> RenderableType:
        heading = Text(self._title, style="bold", no_wrap=True, overflow="ellipsis")
        heading.append("  ").append(self._where(), style="not bold")
        stage = Text(self._stage, style=ACTIVE, no_wrap=True, overflow="ellipsis")
        if not self._progress.task_ids:  # nothing to count: a spinner and the seconds show that it works
            stage.append(f"  {time.monotonic() - self._began:.0f} s", style="default")
            self._spinner.update(text=stage)
            return self._fitted([heading, self._spinner], [])
        note = Text(self._note, style="dim", no_wrap=True, overflow="ellipsis")
        return self._fitted([heading, stage], [self._progress, note])

    def _where(self) -> str:
        """`task 2 of 5 · 41 % · 3 min left · 0.8 GB`: the parts that are known."""
        parts = []
        if (overall := self._overall) is not None:
            if overall.stage:
                parts.append(f"task {overall.stage} of {overall.stages}")
            parts.append(f"{100 * overall.share:.0f} %")
            if (left := overall.left) is not None:
                parts.append(f"{duration(left)} left")
        return " · ".join([*parts, f"{memory_gb():.1f} GB"])

    def _fitted(self, above: list[RenderableType], below: list[RenderableType]) -> RenderableType:
        """All parts; of the candidate table, as many lines as the terminal has room for."""
        room = self._console.height - 1 - self._lines(*above, *below, self._matrix)
        table = self._table if self._lines(self._table) <= room else _Clipped(self._table, max(0, room))
        return Group(*above, table, *below, self._matrix)

    def _lines(self, *parts: RenderableType) -> int:
        return len(self._console.render_lines(Group(*parts), pad=False))

    def planned(self, plan: RunPlan) -> None:
        self._overall = Overall(plan)

    def reached(self, stage: int) -> None:
        if self._overall is not None:
            self._overall.reach(stage)

    def stage(self, title: str) -> None:
        self._stage = title
        self._began = time.monotonic()
        self._table = Group()
        for task in self._progress.task_ids:
            self._progress.remove_task(task)

    @contextmanager
    def work(self, label: str, total: int, unit: str) -> Iterator[Meter]:
        progress = self._progress
        task = progress.add_task(label, total=total, unit=unit)
        display, overall = self, self._overall
        if overall is not None:
            overall.begin()

        class Bar:
            def advance(self, amount: int = 1, note: str = "") -> None:
                display._note = note
                if overall is not None:
                    overall.advance(amount, unit)
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
            self._table = Group()
            print_above(self._live, Text(self._stage, style="bold"), candidate_table(pool, scores, rows=5))
        else:
            self._table = candidate_table(pool, scores, rows=8)

    def indicated(
        self, pool: Sequence[Candidate], values: Sequence[CandidateValue], indicator: Indicator
    ) -> None:
        table = indicator_table(pool, values, indicator, rows=5)
        print_above(self._live, Text(self._stage, style="bold"), table)

    def scores(
        self,
        metrics: Mapping[str, str],
        groups: Sequence[str],
        rows: Sequence[Sequence[float]],
        watched: Mapping[str, Sequence[float]],
    ) -> None:
        matrix: RenderableType = score_matrix(
            metrics, groups, rows, f"R so far: {measure(metrics.values())}, %"
        )
        if watched:
            matrix = Group(matrix, watched_table(groups, watched, "watched so far, %"))
        if self._lines(matrix) > self._console.height // 2:
            print_above(self._live, matrix)
            matrix = Group()
        self._matrix = matrix

    def notice(self, text: str) -> None:
        print_above(self._live, Text.assemble(("note: ", "bold"), text))


@dataclass(frozen=True)
class _Clipped:
    """The first lines of a renderable."""

    whole: RenderableType
    lines: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in console.render_lines(self.whole, options, pad=False)[: self.lines]:
            yield from line
            yield Segment.line()


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
