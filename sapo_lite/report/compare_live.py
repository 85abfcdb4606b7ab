"""Displays of a running grid: a live table on a terminal, a line for each cell elsewhere."""

from statistics import fmean

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sapo_lite.compare.grid import Cell
from sapo_lite.compare.progress import GridProgress
from sapo_lite.report.colours import ACTIVE, GOOD
from sapo_lite.report.console import print_above
from sapo_lite.support.messages import duration

_MOST_MARKS = 10  # with more seeds, their number is shown instead of a mark for each


class PlainGrid:
    """Plain display: a line for every cell that starts or finishes."""

    def __init__(self, progress: GridProgress, console: Console) -> None:
        self._progress = progress
        self._console = console

    def __enter__(self) -> "PlainGrid":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def started(self, cell: Cell) -> None:
        self._progress.start(cell)
        self._print(f"== {cell.name}")

    def finished(self, cell: Cell, took: float) -> None:
        self._progress.finish(cell, took)
        average = self._progress.average[cell]
        self._print(f"{self._progress.counted}: {cell.name}, AP {average:.1f} ({duration(took)})")

    def notice(self, text: str) -> None:
        self._print(f"note: {text}")

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveGrid:
    """Live display: all cells in one table, redrawn in place."""

    def __init__(self, progress: GridProgress, console: Console, title: str) -> None:
        self._progress = progress
        self._title = title
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=2, transient=True)

    def __enter__(self) -> "LiveGrid":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def started(self, cell: Cell) -> None:
        self._progress.start(cell)

    def finished(self, cell: Cell, took: float) -> None:
        self._progress.finish(cell, took)

    def notice(self, text: str) -> None:
        print_above(self._live, Text(f"note: {text}"))

    def _render(self) -> RenderableType:
        progress = self._progress
        bar = Table.grid(padding=(0, 2))
        bar.add_row(ProgressBar(total=1.0, completed=progress.share, width=40), Text(progress.counted))
        running = [Text.assemble((c.name, ACTIVE), "  ", progress.stage(c)) for c in list(progress.running)]
        return Group(Text(self._title, style="bold"), self._grid(), *running, bar)

    def _grid(self) -> RenderableType:
        """Table of strategies by adapters: a mark for each seed, and the mean AP so far, in percent."""
        cells = list(self._progress.plan.folders)
        table = Table(box=None, pad_edge=False)
        table.add_column("AP so far, %")
        adapters = list(dict.fromkeys(cell.adapter for cell in cells))
        for adapter in adapters:
            table.add_column(adapter)
        for strategy in dict.fromkeys(cell.strategy for cell in cells):
            row = [[c for c in cells if (c.strategy, c.adapter) == (strategy, a)] for a in adapters]
            table.add_row(strategy, *map(self._seeds, row))
        return table

    def _seeds(self, cells: list[Cell]) -> Text:
        progress = self._progress
        known = [progress.average[cell] for cell in cells if cell in progress.average]
        marks = "".join(self._mark(cell) for cell in cells)
        if len(cells) > _MOST_MARKS:
            marks = f"{len(known)}/{len(cells)}"
        return Text.assemble((marks, GOOD), f"  {fmean(known):.1f}" if known else "")

    def _mark(self, cell: Cell) -> str:
        if cell in self._progress.average:
            return "●"
        return "◐" if cell in self._progress.running else "·"
