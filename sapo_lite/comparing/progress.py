"""How far the cells of a grid are, from what is in their folders."""

from sapo_lite.adapters import ADAPTERS
from sapo_lite.comparing.cells import SHOWN
from sapo_lite.comparing.grid import Cell
from sapo_lite.comparing.plan import Plan
from sapo_lite.comparing.tally import Tally
from sapo_lite.comparing.wording import duration
from sapo_lite.evaluation import PUBLISHED_METRIC
from sapo_lite.rundir import read_json


class Progress:
    """What is finished and what is running. `average` has the AP of every finished cell, in percent."""

    def __init__(self, plan: Plan, jobs: int) -> None:
        self.plan = plan
        self.running: list[Cell] = []
        self.average = {cell: self._read(cell) for cell in plan.places if cell not in plan.unfinished}
        self._weights = {cell: plan.work(cell).weight for cell in plan.unfinished}
        self._tally = Tally(len(self._weights), sum(self._weights.values()), jobs)

    def start(self, cell: Cell) -> None:
        self.running.append(cell)

    def finish(self, cell: Cell, took: float) -> None:
        self.running.remove(cell)
        self._tally.add(self._weights[cell], took)
        self.average[cell] = self._read(cell)

    def _read(self, cell: Cell) -> float:
        by_kind = read_json(self.plan.places[cell].path / "results.json")["metrics"]
        average: float = next(iter(by_kind.values()))[PUBLISHED_METRIC]["ap"]
        return average

    @property
    def share(self) -> float:
        """Of all work, what is done; of a cell that is running, by its stages."""
        done = self._tally.done + sum(self._weights[cell] * self._stages(cell) for cell in self.running)
        return done / self._tally.work if self._tally.work else 1.0

    def _stages(self, cell: Cell) -> float:
        stages = 1 + len(ADAPTERS[cell.adapter].lessons(self.plan.tasks[cell]))
        return len(list(self.plan.places[cell].path.glob("[0-9]*/done"))) / stages

    @property
    def counted(self) -> str:
        """ "3/8 runs, about 5 min left"; how long is not known before the first one has ended."""
        tally = self._tally
        left = f", about {duration(tally.left)} left" if tally.measured and tally.items < tally.total else ""
        return f"{tally.items}/{tally.total} runs{left}"

    def stage(self, cell: Cell) -> str:
        """The latest heading of what a running cell shows (display.PlainDisplay.stage)."""
        shown = self.plan.places[cell].path / SHOWN
        lines = shown.read_text("utf-8", "replace").splitlines() if shown.exists() else []
        return next((line[3:] for line in reversed(lines) if line.startswith("== ")), "starting")
