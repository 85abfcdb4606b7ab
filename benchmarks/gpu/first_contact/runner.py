"""Jobs in processes of their own: one that fails, hangs or fills the memory costs only itself.

Every result is written when it is there, so that a machine that is taken away has lost nothing before it.
"""

import json
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Literal

RECORD, ARCHIVE = "jobs.json", "first_contact.tgz"
LARGEST = 8 * 2**20  # bytes of a file in the archive
PAUSE = 0.1  # seconds between two looks at what is running

State = Literal["done", "failed", "killed", "interrupted", "left out", "no time"]
# These are not tried again when the command is given once more.
FINAL = ("done", "failed", "killed")


@dataclass(frozen=True)
class Job:
    """A program of the plan.

    limit: seconds after which it is killed
    wave: jobs of a wave run side by side, one wave after another
    after: jobs that must be done before it begins
    least: seconds that must be left for it to begin
    """

    name: str
    command: Sequence[str]
    limit: float
    wave: int
    after: tuple[str, ...] = ()
    least: float = 10.0
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """seconds: that it ran; status: of its process, if that ended by itself"""

    state: State
    seconds: float = 0.0
    status: int | None = None


@dataclass
class _Running:
    job: Job
    process: "subprocess.Popen[bytes]"
    began: float
    log: IO[bytes]


class Runner:
    """Runs jobs until a deadline. Outputs, the record and the archive are in the folder `results`."""

    def __init__(
        self, results: Path, seconds: float, env: Mapping[str, str], say: Callable[[str], None] = print
    ) -> None:
        self.results = results
        self._start = time.monotonic()
        self._deadline = self._start + seconds
        self._env = env
        self._say = say
        results.mkdir(parents=True, exist_ok=True)
        self.outcomes = _recorded(results / RECORD)

    def run(self, jobs: Sequence[Job]) -> bool:
        """Run the jobs that have no final outcome yet. Returns whether all are done."""
        for wave in sorted({job.wave for job in jobs}):
            self._side_by_side([job for job in jobs if job.wave == wave and not self._is_final(job)])
        return all(self.outcomes[job.name].state == "done" for job in jobs)

    def _is_final(self, job: Job) -> bool:
        return job.name in self.outcomes and self.outcomes[job.name].state in FINAL

    def _side_by_side(self, waiting: list[Job]) -> None:
        running: list[_Running] = []
        names = {job.name for job in waiting}  # an outcome of an earlier command does not hold for them
        for name in names:
            self.outcomes.pop(name, None)
        while waiting or running:
            for job in [job for job in waiting if self._is_ready(job, names)]:
                waiting.remove(job)
                running += self._begin(job)
            running = [one for one in running if not self._has_ended(one)]
            time.sleep(PAUSE)

    def _is_ready(self, job: Job, names: set[str]) -> bool:
        return all(name in self.outcomes or name not in names for name in job.after)

    def _begin(self, job: Job) -> list[_Running]:
        missing = [n for n in job.after if n not in self.outcomes or self.outcomes[n].state != "done"]
        if missing:
            self._note(job, Outcome("left out"), f"needs {', '.join(missing)}")
            return []
        if self._deadline - time.monotonic() < job.least:
            self._note(job, Outcome("no time"))
            return []
        log = (self.results / f"{job.name}.out").open("wb")
        process = subprocess.Popen(
            job.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**self._env, **job.env},
            start_new_session=True,
        )
        return [_Running(job, process, time.monotonic(), log)]

    def _has_ended(self, one: _Running) -> bool:
        now, status = time.monotonic(), one.process.poll()
        if status is None and now < min(one.began + one.job.limit, self._deadline):
            return False
        _end_group(one.process.pid)  # also what it has started
        one.process.wait()
        one.log.close()
        state: State = "done" if status == 0 else "failed"
        if status is None:
            state = "interrupted" if now >= self._deadline else "killed"
        self._note(one.job, Outcome(state, round(now - one.began, 1), status))
        return True

    def _note(self, job: Job, outcome: Outcome, why: str = "") -> None:
        self.outcomes[job.name] = outcome
        content = {name: asdict(one) for name, one in self.outcomes.items()}
        (self.results / RECORD).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        write_archive(self.results)
        passed = time.monotonic() - self._start
        detail = why or (f"after {outcome.seconds:.0f} s" if outcome.seconds else "")
        self._say(f"{passed:5.0f} s  {job.name}: {outcome.state} {detail}".rstrip())


def _recorded(path: Path) -> dict[str, Outcome]:
    if not path.is_file():
        return {}
    return {name: Outcome(**one) for name, one in json.loads(path.read_text(encoding="utf-8")).items()}


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:  # all of it has ended
        return


def write_archive(results: Path) -> None:
    """Everything in the folder but weights and other large files, as one file in it."""
    target, fresh = results / ARCHIVE, results / f"{ARCHIVE}.new"
    with tarfile.open(fresh, "w:gz") as archive:
        for path in sorted(results.rglob("*")):
            if path in (target, fresh) or path.suffix == ".safetensors" or not path.is_file():
                continue
            if path.stat().st_size <= LARGEST:
                archive.add(path, arcname=str(path.relative_to(results)), recursive=False)
    fresh.replace(target)
