"""What a comparison of a recipe would do: its cells, where they are, and how much work is left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from sapo_lite.compare.grid import Cell, Grid
from sapo_lite.compare.places import STATES, Place, check_folder, find_places, load_tasks
from sapo_lite.compare.reuse import lenders
from sapo_lite.report.number_table import NumberTable
from sapo_lite.run.workplan import Work, plan_of
from sapo_lite.support.messages import many
from sapo_lite.types import Task


@dataclass(frozen=True)
class Plan:
    """A grid in the folder `out`. `lenders`: by cell and piece, the cell that it is copied from."""

    grid: Grid
    out: Path
    data: Path | None
    tasks: dict[Cell, list[Task]]
    places: dict[Cell, Place]
    lenders: dict[Cell, dict[str, Cell]]

    @property
    def unfinished(self) -> list[Cell]:
        """Those that were begun first: others start from what they have."""
        return [cell for cell in in_order(self.places) if self.places[cell].state != "finished"]

    @property
    def borrowed(self) -> dict[Cell, Path]:
        """Cells that are finished runs of another folder."""
        return {cell: p.path for cell, p in self.places.items() if p.path.parent != self.out}

    @property
    def notes(self) -> list[str]:
        """Which folders are not reused, and why."""
        return list(dict.fromkeys(note for place in self.places.values() for note in place.notes))

    def work(self, cell: Cell) -> Work:
        return plan_of(self.grid.recipes[cell], self.tasks[cell]).less(self.lenders[cell]).total

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
    places = find_places(grid, tasks, out)
    lent = lenders({cell: grid.recipes[cell].resolved() for cell in in_order(places)})
    return Plan(grid, out, data, tasks, places, lent)


def in_order(places: Mapping[Cell, Place]) -> list[Cell]:
    """Finished cells, those begun, and new ones: each may start from what those before it have."""
    return sorted(places, key=lambda cell: STATES.index(places[cell].state))


def as_table(plan: Plan) -> RenderableType:
    """For each strategy on each adapter: what is finished, what is not, and how much work that is."""
    rows, total = list[list[str | Text]](), Work()
    for strategy, adapter in dict.fromkeys((cell.strategy, cell.adapter) for cell in plan.places):
        cells = [cell for cell in plan.places if (cell.strategy, cell.adapter) == (strategy, adapter)]
        work = sum((plan.work(cell) for cell in cells if cell in plan.unfinished), Work())
        seeds = [_seeds(plan, cells, state) for state in STATES]
        rows.append([strategy, adapter, *seeds, *_amounts(work)])
        total += work
    rows.append([Text(cell, style="bold") for cell in ("in all", "", "", "", "", *_amounts(total))])
    notes = list(plan.grid.notices)
    notes += [f"{cell.name} is {path}" for cell, path in plan.borrowed.items()]
    notes += plan.notes
    notes.append(
        "at most: a race ends early, and a chosen prompt may be the original; what equal runs have in common "
        "is counted once"
    )
    title = f"{plan.grid.name}: {many(len(plan.places), 'run')}, by seeds, in {plan.out}"
    headings = ["strategy", "adapter", "finished", "begun", "to run", "forwards", "steps", "answers"]
    table = NumberTable(title, headings, rows, texts=5, fold=True)
    return Group(table, Text(), *map(Text, notes))


def _seeds(plan: Plan, cells: Sequence[Cell], state: str) -> str:
    return ", ".join(str(cell.seed) for cell in cells if plan.places[cell].state == state) or "-"


def _amounts(work: Work) -> list[str]:
    return [f"{count:,}" for count in (work.forwards.most, work.steps, work.answers.most)]
