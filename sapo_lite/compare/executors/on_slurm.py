"""Executor on a Slurm cluster, through submitit: a cell is a job, in its run folder on the shared disk."""

import contextlib
import dataclasses
import getpass
import math
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event, Lock
from typing import Any

from sapo_lite.compare.cells import CellRunner
from sapo_lite.compare.executors.elsewhere import Elsewhere, StoppedError, Try
from sapo_lite.compare.grid import Cell
from sapo_lite.errors import SapoLiteError
from sapo_lite.run.paths import LOCK

JOBS = "slurm"  # folder, in that of the comparison, with what submitit writes
_POLL, _ASK = 2.0, 10.0  # seconds between looks for a job's result, and between questions to Slurm
_LATE = 30.0  # seconds until what a job wrote is seen here
# What a job asks for unless the command line says otherwise.
_DEFAULTS = {"timeout_min": 24 * 60, "gpus_per_node": 1, "cpus_per_task": 4, "mem_gb": 32}


def on_slurm(
    jobs: int,
    log: Path,
    runner: CellRunner,
    *,
    parameters: Mapping[str, Any],
    cluster: str,
    notice: Callable[[str], None],
) -> Elsewhere:
    """Workers as jobs.

    parameters: of submitit's AutoExecutor, such as slurm_partition or timeout_min
    cluster: "slurm"; "local" runs the jobs as processes of this machine
    """
    files = log.parent / JOBS  # of submitit
    queue = _Queue() if cluster == "slurm" else None
    tries = partial(_tries, files, {**_DEFAULTS, **parameters}, cluster, queue)
    return Elsewhere(jobs, log, runner, tries, "job", lambda _: files, notice)


class _Queue:
    """Which jobs of this user Slurm has, pending or running.

    submitit asks `sacct`, which knows nothing on a cluster without accounting: there, a lost job would never
    end.
    """

    def __init__(self) -> None:
        self._lock, self._asked, self._jobs = Lock(), -math.inf, frozenset[str]()

    def has(self, job: str, since: float) -> bool:
        """Whether a job that was submitted at `since` (time.monotonic) is there, or may be."""
        with self._lock:
            if time.monotonic() - self._asked > _ASK:
                asked = time.monotonic()
                command = ["squeue", "--noheader", "--format=%A", f"--user={getpass.getuser()}"]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode == 0:  # the controller may be away for a while
                    self._asked, self._jobs = asked, frozenset(done.stdout.split())
            return self._asked <= since or job in self._jobs


@contextlib.contextmanager
def _tries(
    files: Path,
    parameters: Mapping[str, Any],
    cluster: str,
    queue: _Queue | None,
    runner: CellRunner,
    cell: Cell,
    stop: Event,
) -> Iterator[Try]:
    import submitit

    executor = submitit.AutoExecutor(folder=files, cluster=cluster)
    try:
        executor.update_parameters(name=f"sapo-lite {cell.name}", **parameters)
    except (TypeError, ValueError, NameError) as error:
        raise SapoLiteError(f"--on slurm: the job was refused: {error}") from None
    yield lambda lost: _ran_as_a_job(_Job(runner, cell, goes_on=lost), executor, queue, stop)


def _ran_as_a_job(job: "_Job", executor: Any, queue: _Queue | None, stop: Event) -> bool:
    """Returns whether the run has ended; if not, its job was lost."""
    import submitit

    try:
        submitted, since = executor.submit(job), time.monotonic()
    except (submitit.core.utils.FailedJobError, TypeError, ValueError, NameError) as error:
        raise SapoLiteError(f"--on slurm: the job was refused: {error}") from None
    result, gone = submitted.paths.result_pickle, math.inf
    while not result.exists() and time.monotonic() < gone + _LATE:
        if stop.wait(_POLL):
            submitted.cancel()
            raise StoppedError
        if queue is None and submitted.done():
            break
        if queue is not None and not queue.has(str(submitted.job_id), since):
            gone = min(gone, time.monotonic())
    if queue is not None and not result.exists():
        return False
    try:
        said = submitted.result()
    except submitit.core.utils.UncompletedJobError:  # killed, out of memory, a lost node
        return False
    if said:
        raise SapoLiteError(said)
    return True


@dataclass(frozen=True)
class _Job:
    """What a job does. Returns the sentence that its run ended with; "" if it is finished.

    goes_on: whether it takes over from a job that is known to have ended, maybe on another machine
    """

    runner: CellRunner
    cell: Cell
    goes_on: bool = False

    def __call__(self) -> str:
        if self.goes_on:  # whose lock is not seen to be free from here
            (self.runner.paths[self.cell] / LOCK).unlink(missing_ok=True)
        try:
            self.runner(self.cell)
        except SapoLiteError as error:
            return str(error)
        return ""

    def checkpoint(self) -> Any:
        """What Slurm queues again as the job's time ends, or another job takes its place."""
        import submitit

        return submitit.helpers.DelayedSubmission(dataclasses.replace(self, goes_on=True))


def require_submitit(cluster: str) -> None:
    """Raises SapoLiteError if submitit or Slurm is not there."""
    import shutil

    try:
        import submitit  # noqa: F401
    except ImportError:
        raise SapoLiteError(
            '--on slurm: expected the package submitit, found none: pip install "sapo-lite[slurm]"'
        ) from None
    if cluster == "slurm" and shutil.which("srun") is None:
        raise SapoLiteError("--on slurm: expected srun on the PATH, found none. Start it on a login node.")
