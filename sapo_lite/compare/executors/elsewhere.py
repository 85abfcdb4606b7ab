"""Cells on other machines: a thread waits for each, and runs it again if its machine is lost."""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from sapo_lite.compare.cells import CellRunner
from sapo_lite.compare.grid import Cell
from sapo_lite.errors import WorkerError

LOSSES = 3  # of machines, by one cell, before the comparison ends

# Runs a cell, or goes on with it if its machine was lost before (true). Returns whether the run has ended; if
# not, its machine was lost.
Try = Callable[[bool], bool]


class StoppedError(Exception):
    """The comparison ends; what runs elsewhere was stopped."""


@dataclass(frozen=True)
class Elsewhere:
    """Workers that run cells on other machines.

    jobs: greatest number of cells at a time
    log: names the folder of the comparison
    tries: context in which a cell is run there, until the event is set
    machine: the word for what is lost, such as "node"
    look: where to look if too many were lost, from the name of the cell's folder
    notice: takes sentences about lost machines
    """

    jobs: int
    log: Path
    runner: CellRunner
    tries: Callable[[CellRunner, Cell, Event], AbstractContextManager[Try]]
    machine: str
    look: Callable[[Path], Path]
    notice: Callable[[str], None]
    fresh: bool = False
    _stop: Event = field(default_factory=Event)

    @contextlib.contextmanager
    def pool(self, size: int) -> Iterator[Executor]:
        """A pool of `size` threads. If the block ends by an exception, they and what they wait for end."""
        self._stop.clear()
        with ThreadPoolExecutor(size, thread_name_prefix="cell") as pool:
            try:
                yield pool
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def __call__(self, cell: Cell) -> float:
        """Run a cell, again if its machine is lost. Returns the seconds until it ended.

        Raises:
            SapoLiteError: as in a run; also if the machines refuse the cell, or too many were lost.
        """
        start = time.perf_counter()
        with self.tries(self.runner, cell, self._stop) as run:
            for lost in range(LOSSES + 1):
                if lost:
                    self.notice(f"{cell.name}: its {self.machine} was lost; another one goes on")
                if run(lost > 0):
                    return time.perf_counter() - start
        raise WorkerError(
            f"{cell.name}: {LOSSES + 1} {self.machine}s were lost, one after the other (time or memory?). "
            f"Look into {self.look(self.runner.paths[cell])}; the same command goes on where it stopped."
        )
