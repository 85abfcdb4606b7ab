"""Programs forked from a process that has imported the libraries in surroundings of its own.

As `forked.run_program`, for programs that need another environment than this one already while they import:
another home, a module that Python imports first of all.
"""

import importlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from forked import PRELOADED, begin_program


class Surroundings:
    """A process that has imported the libraries under an environment; it forks programs, one at a time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
        own = os.pathsep.join([*filter(None, [environment.get("PYTHONPATH")]), *paths])
        self.environment = {**environment, "PYTHONPATH": own}
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> "Surroundings":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        assert self._server.stdin
        self._server.stdin.close()
        self._server.wait()

    def run(
        self, arguments: Sequence[str], *, cwd: Path, more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program, as `forked.run_program`, to its end. more: variables besides those of the start."""
        assert self._server.stdin
        assert self._server.stdout
        assert arguments[0] == sys.executable
        with tempfile.TemporaryDirectory() as folder:
            files = [str(Path(folder, name)) for name in ("out", "err")]
            request = [arguments[1:], str(cwd), dict(more or {}), files]
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            status = int(self._server.stdout.readline())
            written = [Path(name).read_text(encoding="utf-8") for name in files]
        return subprocess.CompletedProcess(arguments, status, *written)


def _serve() -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    fork = multiprocessing.get_context("fork")
    for line in sys.stdin:
        process = fork.Process(target=_begin, args=json.loads(line))
        process.start()
        process.join()
        print(process.exitcode, flush=True)


def _begin(arguments: list[str], cwd: str, more: dict[str, str], files: list[str]) -> None:
    out, err = (os.open(name, os.O_WRONLY | os.O_CREAT) for name in files)
    begin_program(arguments, cwd, {**os.environ, **more}, False, out, err)


if __name__ == "__main__":
    _serve()
