"""Executor on a Ray cluster: a cell runs on one of its nodes, and its files are fetched as they come.

A node needs sapo-lite, the model, and the data at the same places as here; it need not share a disk. A cell
whose node is lost goes on elsewhere, from the last of its files that were fetched.
"""

import contextlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, TextIO

from sapo_lite.compare.cells import CellRunner, run_cell
from sapo_lite.compare.executors.cell_files import FileUpdate, FolderSender, receive
from sapo_lite.compare.executors.local import begin_worker
from sapo_lite.compare.executors.threads import StoppedError, waiting_threads
from sapo_lite.compare.grid import Cell
from sapo_lite.errors import SapoLiteError, WorkerError
from sapo_lite.run.paths import LOG

LOSSES = 3  # of nodes, by one cell, before the comparison ends
_POLL = 1.0  # seconds


@dataclass(frozen=True)
class RayWorkers:
    """Cells on a Ray cluster: each takes a GPU, or a CPU where the cluster has no GPU.

    jobs: greatest number of cells at a time
    log: names the folder of the comparison
    notice: takes sentences about lost nodes
    """

    jobs: int
    log: Path
    runner: CellRunner
    gpus: bool
    notice: Callable[[str], None]
    fresh: bool = False
    _stop: Event = field(default_factory=Event)

    @contextlib.contextmanager
    def pool(self, size: int) -> Iterator[Executor]:
        with waiting_threads(size, self._stop) as pool:
            yield pool

    def __call__(self, cell: Cell) -> float:
        """Run a cell on the cluster. Returns the seconds that this took.

        Raises:
            SapoLiteError: as in a run; also if the cell has lost too many nodes.
        """
        start = time.perf_counter()
        try:
            with self.runner.prepared(cell) as folder:
                for lost in range(LOSSES + 1):
                    if lost:
                        self.notice(f"{cell.name}: its node was lost; it goes on elsewhere")
                    if self._run_on_a_node(cell, folder):
                        return time.perf_counter() - start
        except SapoLiteError as error:
            raise SapoLiteError(f"{cell.name}: {error}") from None
        raise WorkerError(
            f"{cell.name}: {LOSSES + 1} nodes were lost, one after the other (out of memory?). Look into "
            f"{folder / LOG}; the same command goes on where it stopped."
        )

    def _run_on_a_node(self, cell: Cell, folder: Path) -> bool:
        """Returns whether the run has ended; if not, its node was lost."""
        import ray

        actor = ray.remote(_CellOnANode).options(num_cpus=1, num_gpus=int(self.gpus), max_restarts=0)
        node = actor.remote(cell, self.runner, FolderSender(folder).update())
        try:
            while True:
                state: _State = self._wait_for(node.state.remote())
                receive(state.files, folder)
                if state.error:
                    raise SapoLiteError(state.error)
                if not state.runs:
                    return True
                self._stop.wait(_POLL)
        except ray.exceptions.RayActorError:
            return False
        finally:
            ray.kill(node)

    def _wait_for(self, reference: Any) -> Any:
        import ray

        while not ray.wait([reference], timeout=_POLL)[0]:
            if self._stop.is_set():
                raise StoppedError
        if self._stop.is_set():
            raise StoppedError
        return ray.get(reference)


@dataclass(frozen=True)
class _State:
    """Of a cell on a node. `error`: what its run ended with, else ""."""

    files: FileUpdate
    runs: bool
    error: str


class _CellOnANode:
    """An actor: the run of a cell in a process on a node, which ends with the actor."""

    def __init__(self, cell: Cell, runner: CellRunner, files: FileUpdate) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="sapo-lite-")
        self._folder = Path(self._home.name) / cell.name
        self._error = Path(self._home.name) / "error.txt"
        receive(files, self._folder)
        self._sender = FolderSender(self._folder)
        self._sender.update()  # what came from there is not sent back
        arguments = (cell, runner, self._folder, self._error, os.getpid())
        self._process = multiprocessing.get_context("spawn").Process(target=_work, args=arguments)
        self._process.start()

    def state(self) -> _State:
        """Since the last call."""
        runs = self._process.is_alive()  # first, so that the last update is complete
        files = self._sender.update()
        error = self._error.read_text(encoding="utf-8") if self._error.exists() else ""
        if not runs and self._process.exitcode and not error:
            error = (
                f"its process ended with status {self._process.exitcode} (out of memory?). Look into {LOG} "
                "of its folder; the same command goes on where it stopped."
            )
        return _State(files, runs, error)


def _work(cell: Cell, runner: CellRunner, folder: Path, error_file: Path, parent: int) -> None:
    begin_worker(folder / LOG, lambda: None, parent)
    try:
        run_cell(
            *(runner.recipes[cell], folder, (), runner.to_file, runner.data),
            pull=runner.pull,
            dtype=runner.dtype,
        )
    except SapoLiteError as error:
        error_file.write_text(str(error), encoding="utf-8")


def slots(resources: Mapping[str, float]) -> int:
    """How many cells a cluster with these resources runs at a time."""
    return max(1, int(resources.get("GPU") or resources["CPU"]))


@contextlib.contextmanager
def cluster(address: str, log: Path) -> Iterator[dict[str, float]]:
    """Connection to a running cluster; its resources by name.

    address: "HOST:PORT" of a Ray Client server, or "" for the cluster that this machine is a node of

    Raises:
        SapoLiteError: Ray is not installed, or there is no cluster at the address.
    """
    try:
        import ray
    except ImportError:
        raise SapoLiteError(
            '--on ray: expected the package ray, found none: pip install "sapo-lite[ray]"'
        ) from None
    where = f"ray://{address}" if address else "auto"
    # Ray writes about lost nodes to stdout, at any time: that is for the tables.
    with log.open("a", encoding="utf-8", buffering=1) as file, contextlib.redirect_stdout(file):
        _connect(ray, where, file)
        try:
            yield ray.cluster_resources()
        finally:
            ray.shutdown()


def _connect(ray: Any, where: str, file: TextIO) -> None:
    try:
        with contextlib.redirect_stderr(file):
            ray.init(where, log_to_driver=False, logging_level="error", namespace="sapo-lite")
    except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
        start = "Start one with `ray start --head`, on further machines with `ray start --address=HOST:6379`."
        raise SapoLiteError(
            f"--on ray: expected a Ray cluster at {where}, found none ({error}). {start}"
        ) from None
