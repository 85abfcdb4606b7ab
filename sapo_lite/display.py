"""What a user sees while a run works: one live display on a terminal, plain lines elsewhere.

Everything here goes to stderr; the results at the end go to stdout (`sapo_lite.summary`).
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

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

from sapo_lite.tables import candidate_table, pool_table, score_matrix
from sapo_lite.types import Candidate, CandidateScore, Rejection


class Meter(Protocol):
    """A running piece of work, of known length."""

    def advance(self, amount: int = 1, note: str = "") -> None: ...


class Display(Protocol):
    """What the pipeline tells about itself."""

    def stage(self, title: str) -> None: ...

    def work(self, label: str, total: int, unit: str) -> AbstractContextManager[Meter]: ...

    def pool(self, task: str, candidates: Sequence[Candidate], rejected: Sequence[Rejection]) -> None: ...

    def candidates(
        self, pool: Sequence[Candidate], scores: Sequence[CandidateScore], final: bool = False
    ) -> None: ...

    def scores(
        self, tasks: Sequence[str], lessons: Sequence[str], rows: Sequence[Sequence[float]]
    ) -> None: ...

    def notice(self, text: str) -> None: ...


class PlainDisplay:
    """Plain lines without escape codes: for log files, pipes and `--plain`."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> "PlainDisplay":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def stage(self, title: str) -> None:
        self._print(f"== {title}")

    @contextmanager
    def work(self, label: str, total: int, unit: str) -> Iterator[Meter]:
        """Prints a line at each quarter of the way."""
        printer = self._print

        class Quarters:
            done = 0

            def advance(self, amount: int = 1, note: str = "") -> None:
                before, self.done = self.done, self.done + amount
                if 4 * before // total != 4 * self.done // total:
                    printer(f"{label}: {self.done}/{total} {unit}{f' · {note}' if note else ''}")

        yield Quarters()

    def pool(self, task: str, candidates: Sequence[Candidate], rejected: Sequence[Rejection]) -> None:
        pass  # the meter counts them

    def candidates(
        self, pool: Sequence[Candidate], scores: Sequence[CandidateScore], final: bool = False
    ) -> None:
        if final:
            self._console.print(candidate_table(pool, scores, rows=5))

    def scores(self, tasks: Sequence[str], lessons: Sequence[str], rows: Sequence[Sequence[float]]) -> None:
        values = "  ".join(f"{task} {value:.1f}" for task, value in zip(tasks, rows[-1], strict=True))
        self._print(f"R[{len(rows) - 1}]  {values}")

    def notice(self, text: str) -> None:
        self._print(f"note: {text}")


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
        self, pool: Sequence[Candidate], scores: Sequence[CandidateScore], final: bool = False
    ) -> None:
        self._table = candidate_table(pool, scores, rows=8)

    def scores(self, tasks: Sequence[str], lessons: Sequence[str], rows: Sequence[Sequence[float]]) -> None:
        self._matrix = score_matrix(tasks, lessons, rows, "R so far: ROUGE-L, %")

    def notice(self, text: str) -> None:
        self._live.console.print(Text.assemble(("note: ", "yellow"), text))
