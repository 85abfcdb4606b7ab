"""Progress of a grid: finished and running cells, their stages, and the time left."""

from sapo_lite.compare.grid import Cell
from sapo_lite.compare.plan import Plan
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.learning.methods import METHODS
from sapo_lite.run.paths import SHOWN, stages_finished
from sapo_lite.run.results import read_results
from sapo_lite.support.eta import Eta
from sapo_lite.support.messages import duration


class GridProgress:
    """Finished and running cells, read from their folders.

    average: AP of every finished cell, in percent
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.running: list[Cell] = []
        self.average = {cell: self._read(cell) for cell in plan.folders if cell not in plan.unfinished}
        self._weights = {cell: plan.work(cell).weight for cell in plan.unfinished}
        self._eta = Eta(len(self._weights), sum(self._weights.values()), jobs=1)

    def start(self, cell: Cell) -> None:
        self.running.append(cell)
        self._eta.jobs = max(self._eta.jobs, len(self.running))

    def finish(self, cell: Cell, took: float) -> None:
        self.running.remove(cell)
        self._eta.add(self._weights[cell], took)
        self.average[cell] = self._read(cell)

    def _read(self, cell: Cell) -> float:
        by_kind = read_results(self.plan.folders[cell].path).metrics
        return next(iter(by_kind.values()))[TASK_METRIC].ap

    @property
    def share(self) -> float:
        """Share of all work that is done, in [0, 1]. A running cell counts by its finished stages."""
        done = self._eta.done + sum(self._weights[cell] * self._stages(cell) for cell in self.running)
        return done / self._eta.work if self._eta.work else 1.0

    def _stages(self, cell: Cell) -> float:
        stages = 1 + len(METHODS[cell.adapter].groups(self.plan.tasks[cell]))
        return stages_finished(self.plan.folders[cell].path) / stages

    @property
    def counted(self) -> str:
        """Finished runs and time left: "3/8 runs, about 5 min left"; no time until one has finished."""
        eta = self._eta
        left = f", about {duration(eta.left)} left" if eta.measured and eta.items < eta.total else ""
        return f"{eta.items}/{eta.total} runs{left}"

    def stage(self, cell: Cell) -> str:
        """The current stage of a running cell: the last heading in its progress file."""
        shown = self.plan.folders[cell].path / SHOWN
        lines = shown.read_text("utf-8", "replace").splitlines() if shown.exists() else []
        return next((line[3:] for line in reversed(lines) if line.startswith("== ")), "starting")
