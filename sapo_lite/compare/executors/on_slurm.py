"""Executor on a Slurm cluster, through submitit: a cell is a job, in its run folder on the shared disk."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from sapo_lite.compare.cells import CellRunner
from sapo_lite.compare.executors.threads import StoppedError, waiting_threads
from sapo_lite.compare.grid import Cell
from sapo_lite.errors import SapoLiteError, WorkerError
from sapo_lite.run.paths import LOCK

LOSSES = 3  # of jobs, by one cell, before the comparison ends
JOBS = "slurm"  # folder, in that of the comparison, with what submitit writes
_POLL = 2.0  # seconds
# What a job asks for unless the command line says otherwise.
_DEFAULTS = {"timeout_min": 24 * 60, "gpus_per_node": 1, "cpus_per_task": 4, "mem_gb": 32}


@dataclass(frozen=True)
class SlurmWorkers:
    """Cells as jobs.

    jobs: greatest number of jobs at a time
    log: names the folder of the comparison, where submitit keeps its files
    parameters: of submitit's AutoExecutor, such as slurm_partition or timeout_min
    notice: takes sentences about lost jobs
    cluster: "slurm"; "local" runs the jobs as processes of this machine
    """

    jobs: int
    log: Path
    runner: CellRunner
    parameters: Mapping[str, Any]
    notice: Callable[[str], None]
    cluster: str = "slurm"
    fresh: bool = False
    _stop: Event = field(default_factory=Event)

    @contextlib.contextmanager
    def pool(self, size: int) -> Iterator[Executor]:
        with waiting_threads(size, self._stop) as pool:
            yield pool

    def __call__(self, cell: Cell) -> float:
        """Run a cell as a job, again if it is lost. Returns the seconds until it ended.

        Raises:
            SapoLiteError: as in a run; also if Slurm refuses the job, or has lost too many.
        """
        start = time.perf_counter()
        for lost in range(LOSSES + 1):
            if lost:
                self.notice(f"{cell.name}: its job was lost; another one goes on")
            if self._run_as_a_job(_Job(self.runner, cell, goes_on=lost > 0)):
                return time.perf_counter() - start
        raise WorkerError(
            f"{cell.name}: {LOSSES + 1} jobs were lost, one after the other (time or memory?). Look into "
            f"{self.log.parent / JOBS}; the same command goes on where it stopped."
        )

    def _run_as_a_job(self, job: "_Job") -> bool:
        """Returns whether the run has ended; if not, its job was lost."""
        import submitit

        executor = submitit.AutoExecutor(folder=self.log.parent / JOBS, cluster=self.cluster)
        try:
            executor.update_parameters(
                name=f"sapo-lite {job.cell.name}", **(_DEFAULTS | dict(self.parameters))
            )
            submitted = executor.submit(job)
        except (submitit.core.utils.FailedJobError, TypeError, ValueError, NameError) as error:
            raise SapoLiteError(f"--on slurm: the job was refused: {error}") from None
        while not submitted.done():
            if self._stop.wait(_POLL):
                submitted.cancel()
                raise StoppedError
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
