"""How far the cells of a grid are, from what is in their folders."""

from dataclasses import dataclass

from sapo_lite.compare.grid import Cell
from sapo_lite.compare.plan import Plan
from sapo_lite.evaluation.metrics import PUBLISHED_METRIC
from sapo_lite.learning.methods import METHODS
from sapo_lite.run.paths import SHOWN, stages_finished
from sapo_lite.run.results import read_results
from sapo_lite.support.messages import duration


class GridProgress:
    """What is finished and what is running. `average` has the AP of every finished cell, in percent."""

    def __init__(self, plan: Plan, jobs: int) -> None:
        self.plan = plan
        self.running: list[Cell] = []
        self.average = {cell: self._read(cell) for cell in plan.folders if cell not in plan.unfinished}
        self._weights = {cell: plan.work(cell).weight for cell in plan.unfinished}
        self._eta = Eta(len(self._weights), sum(self._weights.values()), jobs)

    def start(self, cell: Cell) -> None:
        self.running.append(cell)

    def finish(self, cell: Cell, took: float) -> None:
        self.running.remove(cell)
        self._eta.add(self._weights[cell], took)
        self.average[cell] = self._read(cell)

    def _read(self, cell: Cell) -> float:
        by_kind = read_results(self.plan.folders[cell].path).metrics
        return next(iter(by_kind.values()))[PUBLISHED_METRIC].ap

    @property
    def share(self) -> float:
        """Of all work, what is done; of a cell that is running, by its stages."""
        done = self._eta.done + sum(self._weights[cell] * self._stages(cell) for cell in self.running)
        return done / self._eta.work if self._eta.work else 1.0

    def _stages(self, cell: Cell) -> float:
        stages = 1 + len(METHODS[cell.adapter].groups(self.plan.tasks[cell]))
        return stages_finished(self.plan.folders[cell].path) / stages

    @property
    def counted(self) -> str:
        """ "3/8 runs, about 5 min left"; how long is not known before the first one has ended."""
        eta = self._eta
        left = f", about {duration(eta.left)} left" if eta.measured and eta.items < eta.total else ""
        return f"{eta.items}/{eta.total} runs{left}"

    def stage(self, cell: Cell) -> str:
        """The latest stage of a running cell: the last heading of its file of progress."""
        shown = self.plan.folders[cell].path / SHOWN
        lines = shown.read_text("utf-8", "replace").splitlines() if shown.exists() else []
        return next((line[3:] for line in reversed(lines) if line.startswith("== ")), "starting")


@dataclass
class Eta:
    """Estimated time left, from the work that is done and what it took.

    total: items
    work: of all of them, in estimated seconds of one process; in other units, `left` needs a measured item
    """

    total: int
    work: float
    jobs: int
    items: int = 0
    done: float = 0.0
    measured: float = 0.0  # estimated work of what this call did itself
    spent: float = 0.0  # and what that took, in seconds

    def add(self, estimated: float, took: float) -> None:
        self.items += 1
        self.done += estimated
        if took:  # what an earlier call had finished says nothing of this machine
            self.spent += took
            self.measured += estimated

    @property
    def left(self) -> float:
        """Seconds of wall time that are left, corrected by what items took so far."""
        scale = self.spent / self.measured if self.measured else 1.0
        return scale * (self.work - self.done) / self.jobs
