"""Programs that start in a moment: forked from a server that has imported the libraries once.

A new program imports torch, transformers, PEFT, TRL and rouge-score: ten to fifteen seconds of CPU time for a
run of three. A forked one is still a process of its own, with its own output, that can be killed. Programs
whose start is tested are started by `small.call`, those that read their environment while they import in a
`warm.Surroundings`.
"""

import gc
import multiprocessing
import os
import pty
import runpy
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from threading import Thread
from typing import IO, Any

from small import LIBRARIES, small_run

PRELOADED = [*LIBRARIES, "scipy.stats", "sapo_lite.cli", "sapo_lite.report.comparison_view", "small"]

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(PRELOADED)


def start(function: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """A function of a module in a process of its own."""
    process = _CONTEXT.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def start_small_run(out: Path, *settings: str) -> ForkServerProcess:
    """A small run in a process of its own, which says nothing unless it fails."""
    return start(_small_run, out, settings)


def _small_run(out: Path, settings: tuple[str, ...]) -> None:
    gc.freeze()  # as in _program
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    small_run(out, *settings)


class Program:
    """A Python program, `[python, "FILE.py", ...]` or `[python, "-m", "MODULE", ...]`; as subprocess.Popen.

    out, err: file descriptors for what it writes; else that is read from `stdout`, `stderr`
    """

    stdin = None

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        out: int | None = None,
        err: int | None = None,
        start_new_session: bool = False,
    ) -> None:
        assert arguments[0] == sys.executable
        self.args = list(arguments)
        self.stdout, out_pipe = _pipe()
        self.stderr, err_pipe = _pipe()
        place = str(cwd or Path.cwd()), dict(env or os.environ), start_new_session
        ends = out_pipe.fileno() if out is None else out, err_pipe.fileno() if err is None else err
        self._process = _CONTEXT.Process(target=_program, args=(self.args[1:], *place, *map(DupFd, ends)))
        self._process.start()
        out_pipe.close()
        err_pipe.close()
        while start_new_session and self.poll() is None and os.getpgid(self.pid) != self.pid:
            time.sleep(0.001)  # a signal to its group is not to reach ours

    @property
    def pid(self) -> int:
        assert self._process.pid
        return self._process.pid

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.exitcode

    @property
    def returncode(self) -> int:
        assert self._process.exitcode is not None
        return self._process.exitcode

    def wait(self) -> int:
        self._process.join()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self) -> tuple[str, str]:
        """What it still writes to stdout and stderr until it ends."""
        found: list[str] = []
        reader = Thread(target=lambda: found.append(self.stdout.read()))
        reader.start()
        errors = self.stderr.read()
        reader.join()
        self.wait()
        return found[0], errors


def run_program(
    arguments: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a Python program to its end; output as text."""
    program = Program(arguments, cwd=cwd, env=env)
    written = program.communicate()
    return subprocess.CompletedProcess(program.args, program.wait(), *written)


def call_on_a_terminal(arguments: Sequence[str], columns: int = 120, lines: int = 50) -> tuple[int, str]:
    """Run to the end with stderr, where the display is, on a terminal: exit status, what that showed."""
    leader, follower = pty.openpty()
    terminal = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(lines)}
    program = Program(arguments, err=follower, env=terminal)
    os.close(follower)
    shown = b""
    while select.select([leader], [], [], 400)[0]:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        shown += chunk
    program.communicate()
    os.close(leader)
    return program.returncode, shown.decode(errors="replace")


def _pipe() -> tuple[IO[str], IO[bytes]]:
    reading, writing = os.pipe()
    return os.fdopen(reading, encoding="utf-8"), os.fdopen(writing, "wb")


def _fork_workers() -> None:
    """The workers of a comparison are forked, too, so that they need not import the libraries."""
    from sapo_lite.compare.executors import local

    fork = multiprocessing.get_context("fork")
    local.get_context = lambda method: fork  # type: ignore[assignment,misc,return-value]


def _program(
    arguments: list[str], cwd: str, env: dict[str, str], new_session: bool, stdout: Any, stderr: Any
) -> None:
    begin_program(arguments, cwd, env, new_session, stdout.detach(), stderr.detach())


def begin_program(
    arguments: list[str], cwd: str, env: dict[str, str], new_session: bool, stdout: int, stderr: int
) -> None:
    """What happens in the process: as if Python had just started. stdout, stderr: file descriptors."""
    if new_session:
        os.setsid()
    gc.freeze()  # the Trainer collects garbage often, among a million objects of imported modules
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    if not os.isatty(2):  # a live display has a thread, and a program with threads is not to be forked
        _fork_workers()
    if arguments[0] == "-m":
        sys.path.insert(0, cwd)
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(arguments[0]).parent))
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")
