"""Plan of a comparison: its cells, their run folders, and the work that is left."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sapo_lite.compare.folders import STATES, CellFolder, check_folder, find_folders, load_tasks
from sapo_lite.compare.grid import Cell, Grid
from sapo_lite.compare.reuse import sources_of
from sapo_lite.run.workplan import Work, plan_of
from sapo_lite.types import Task


@dataclass(frozen=True)
class Plan:
    """A grid, its folder `out`, and the run folders of its cells.

    sources: cell -> name of a piece -> cell that this piece is copied from
    """

    grid: Grid
    out: Path
    data: Path | None
    tasks: dict[Cell, list[Task]]
    folders: dict[Cell, CellFolder]
    sources: dict[Cell, dict[str, Cell]]

    @property
    def unfinished(self) -> list[Cell]:
        """Cells that are not finished; begun ones come first, because new ones can copy from them."""
        return [cell for cell in in_order(self.grid, self.folders) if self.folders[cell].state != "finished"]

    @property
    def reused(self) -> dict[Cell, Path]:
        """Folders of cells that are finished runs outside of `out`."""
        return {cell: folder.path for cell, folder in self.folders.items() if folder.path.parent != self.out}

    @property
    def notes(self) -> list[str]:
        """Sentences about folders that are not reused, with the reason."""
        return list(dict.fromkeys(note for folder in self.folders.values() for note in folder.notes))

    def work(self, cell: Cell) -> Work:
        return plan_of(self.grid.recipes[cell], self.tasks[cell]).less(self.sources[cell]).total

    def command(self, cell: Cell) -> str:
        return self.grid.command(cell, self.data)


def make_plan(grid: Grid, out: Path | None, data: Path | None) -> Plan:
    """Make the plan of a grid. Without `out`, its folder is named by the recipe and the settings.

    Raises:
        SapoLiteError: the folder holds something else, or the data are missing or faulty.
    """
    out = out or Path("runs") / f"compare-{grid.name}-{grid.digest}"
    check_folder(out, grid)
    tasks = load_tasks(grid, data)
    if grid.test_with:
        # Their folders are settings of the other cells.
        chosen = {cell: own for cell, own in grid.recipes.items() if cell.strategy == grid.test_with}
        found = find_folders(replace(grid, recipes=chosen), {cell: tasks[cell] for cell in chosen}, out)
        grid = grid.with_other_runs({cell: folder.path for cell, folder in found.items()})
    folders = find_folders(grid, tasks, out)
    sources = sources_of({cell: grid.recipes[cell].resolved() for cell in in_order(grid, folders)})
    return Plan(grid, out, data, tasks, folders, sources)


def in_order(grid: Grid, folders: Mapping[Cell, CellFolder]) -> list[Cell]:
    """Cells sorted by state: finished, begun, new. Each can copy from the cells before it.

    Cells that are tested with the prompts of others come last: they wait for these, which must not wait for
    pieces of theirs.
    """
    return sorted(folders, key=lambda c: (grid.tested_with(c) is not None, STATES.index(folders[c].state)))
