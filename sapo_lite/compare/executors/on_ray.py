"""Executor on a Ray cluster: a cell runs on one of its nodes, and its files are fetched as they come.

A node needs sapo-lite, the model, and the data at the same places as here; it need not share a disk. A cell
whose node is lost goes on elsewhere, from the last of its files that were fetched.
"""

import contextlib
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, TextIO

from sapo_lite.compare.cells import CellRunner, run_cell
from sapo_lite.compare.executors.cell_files import FileUpdate, FolderSender, receive
from sapo_lite.compare.executors.elsewhere import Elsewhere, StoppedError, Try
from sapo_lite.compare.grid import Cell
from sapo_lite.errors import SapoLiteError
from sapo_lite.run.paths import LOG
from sapo_lite.support.worker import begin_worker

_POLL = 1.0  # seconds
_PATIENCE = 10.0  # seconds that a node has to remove a cell's files


def on_ray(
    jobs: int, log: Path, runner: CellRunner, *, gpus: bool, notice: Callable[[str], None]
) -> Elsewhere:
    """Workers on a Ray cluster: each cell takes a GPU, or a CPU where the cluster has none."""
    return Elsewhere(jobs, log, runner, partial(_tries, gpus), "node", lambda folder: folder / LOG, notice)


@contextlib.contextmanager
def _tries(gpus: bool, runner: CellRunner, cell: Cell, stop: Event) -> Iterator[Try]:
    try:
        with runner.prepared(cell) as folder:
            yield lambda _: _ran_on_a_node(runner, cell, folder, gpus, stop)
    except SapoLiteError as error:
        raise SapoLiteError(f"{cell.name}: {error}") from None


def _ran_on_a_node(runner: CellRunner, cell: Cell, folder: Path, gpus: bool, stop: Event) -> bool:
    """Returns whether the run has ended; if not, its node was lost."""
    import ray

    actor = ray.remote(_CellOnANode).options(num_cpus=1, num_gpus=int(gpus), max_restarts=0)
    node = actor.remote(cell, runner, FolderSender(folder).update())
    try:
        while True:
            state: _State = _wait_for(node.state.remote(), stop)
            receive(state.files, folder)
            if state.error:
                raise SapoLiteError(state.error)
            if not state.runs:
                return True
            stop.wait(_POLL)
    except ray.exceptions.RayActorError:
        return False
    finally:
        with contextlib.suppress(ray.exceptions.RayError):  # its node was lost, or does not answer
            ray.get(node.close.remote(), timeout=_PATIENCE)
        ray.kill(node)


def _wait_for(reference: Any, stop: Event) -> Any:
    import ray

    while not ray.wait([reference], timeout=_POLL)[0]:
        if stop.is_set():
            raise StoppedError
    if stop.is_set():
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

    def close(self) -> None:
        """End the run, and remove its files from the node."""
        self._process.kill()
        self._process.join()
        self._home.cleanup()


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
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = lines[-1]  # before it may stand a traceback of the server
        raise SapoLiteError(
            f"--on ray: expected a Ray cluster at {where}, found none ({reason}). {start}"
        ) from None
