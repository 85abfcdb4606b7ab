"""What a user sees while a run works: one live display on a terminal, plain lines elsewhere.

Everything here goes to stderr; the results at the end go to stdout (`sapo_lite.report.run_summary`).
"""

from collections.abc import Iterator, Sequence
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
from rich.text import Text

from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.prompts.pool import Rejection
from sapo_lite.report.tables import candidate_table, pool_table, score_matrix
from sapo_lite.support.progress import Meter
from sapo_lite.types import Candidate


class _Rate(ProgressColumn):
    """Units a second, e.g. `312 examples/s`."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        amount = f"{speed:.3g}" if speed and speed < 1000 else f"{speed or 0:.0f}"
        return Text(f"{amount} {task.fields['unit']}/s" if speed else "", style="progress.data.speed")


class LiveDisplay:
    """One display, redrawn in place: stage, candidate table, progress bars, R so far."""

    def __init__(self, console: Console, title: str) -> None:
        self._title = title
        self._stage = ""
        self._table: RenderableType = Text()
        self._matrix: RenderableType = Text()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="cyan"),
        )
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> "LiveDisplay":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _render(self) -> RenderableType:
        heading = Text.assemble((self._title, "bold"), "  ", (self._stage, "bold cyan"))
        return Group(heading, self._table, self._progress, self._matrix)

    def stage(self, title: str) -> None:
        self._stage = title
        self._table = Text()
        for task in self._progress.task_ids:
            self._progress.remove_task(task)

    @contextmanager
    def work(self, label: str, total: int, unit: str) -> Iterator[Meter]:
        progress = self._progress
        task = progress.add_task(label, total=total, unit=unit, note="")

        class Bar:
            def advance(self, amount: int = 1, note: str = "") -> None:
                progress.update(task, advance=amount, note=note)

        yield Bar()
        progress.remove_task(task)  # training may score in between, time and again

    def pool(self, task: str, candidates: Sequence[Candidate], rejected: Sequence[Rejection]) -> None:
        self._table = pool_table(task, candidates, rejected, rows=6)

    def candidates(
        self, pool: Sequence[Candidate], scores: Sequence[CandidateLoss], final: bool = False
    ) -> None:
        self._table = candidate_table(pool, scores, rows=8)

    def scores(self, tasks: Sequence[str], lessons: Sequence[str], rows: Sequence[Sequence[float]]) -> None:
        self._matrix = score_matrix(tasks, lessons, rows, "R so far: ROUGE-L, %")

    def notice(self, text: str) -> None:
        self._live.console.print(Text.assemble(("note: ", "yellow"), text))
