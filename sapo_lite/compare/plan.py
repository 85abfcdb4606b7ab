"""What a comparison of a recipe would do: its cells, where they are, and how much work is left."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sapo_lite.compare.folders import STATES, CellFolder, check_folder, find_folders, load_tasks
from sapo_lite.compare.grid import Cell, Grid
from sapo_lite.compare.reuse import sources_of
from sapo_lite.run.workplan import Work, plan_of
from sapo_lite.types import Task


@dataclass(frozen=True)
class Plan:
    """A grid in the folder `out`. `sources`: by cell and piece, the cell that it is copied from."""

    grid: Grid
    out: Path
    data: Path | None
    tasks: dict[Cell, list[Task]]
    folders: dict[Cell, CellFolder]
    sources: dict[Cell, dict[str, Cell]]

    @property
    def unfinished(self) -> list[Cell]:
        """Those that were begun first: others start from what they have."""
        return [cell for cell in in_order(self.folders) if self.folders[cell].state != "finished"]

    @property
    def reused(self) -> dict[Cell, Path]:
        """Cells that are finished runs of another folder."""
        return {cell: folder.path for cell, folder in self.folders.items() if folder.path.parent != self.out}

    @property
    def notes(self) -> list[str]:
        """Which folders are not reused, and why."""
        return list(dict.fromkeys(note for folder in self.folders.values() for note in folder.notes))

    def work(self, cell: Cell) -> Work:
        return plan_of(self.grid.recipes[cell], self.tasks[cell]).less(self.sources[cell]).total

    def command(self, cell: Cell) -> str:
        return self.grid.command(cell, self.data)


def make_plan(grid: Grid, out: Path | None, data: Path | None) -> Plan:
    """Without `out`, the folder is named by the recipe and the settings.

    Raises:
        SapoLiteError: the folder holds something else, or the data will not do.
    """
    out = out or Path("runs") / f"compare-{grid.name}-{grid.digest}"
    check_folder(out, grid)
    tasks = load_tasks(grid, data)
    folders = find_folders(grid, tasks, out)
    sources = sources_of({cell: grid.recipes[cell].resolved() for cell in in_order(folders)})
    return Plan(grid, out, data, tasks, folders, sources)


def in_order(folders: Mapping[Cell, CellFolder]) -> list[Cell]:
    """Finished cells, those begun, and new ones: each may start from what those before it have."""
    return sorted(folders, key=lambda cell: STATES.index(folders[cell].state))
