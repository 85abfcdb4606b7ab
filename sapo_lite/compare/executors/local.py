"""Worker processes on this machine."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from sapo_lite.support.worker import begin_worker


@dataclass(frozen=True)
class LocalWorkers:
    """Worker processes of this machine; they import the libraries once.

    jobs: greatest number of processes
    log: file for output of libraries that does not go through sys.stderr
    prepare: called once in each process
    fresh: use new processes for every item, so that their memory is free before the next one starts
    """

    jobs: int
    log: Path
    prepare: Callable[[], None]
    fresh: bool = False

    @contextlib.contextmanager
    def pool(self, size: int) -> Iterator[Executor]:
        """Pool of `size` processes. After an error or an interrupt they are killed."""
        context = get_context("spawn")
        arguments = (self.log, self.prepare, os.getpid())
        pool = ProcessPoolExecutor(size, context, initializer=begin_worker, initargs=arguments)
        # The processes inherit that SIGINT is ignored; else Ctrl-C would print tracebacks of their imports.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        for _ in range(size):
            pool.submit(os.getpid)
        signal.signal(signal.SIGINT, before)
        try:
            yield pool
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.kill()  # nothing is lost: finished work is in the folders
            # Wait for the pool's thread, which closes its pipes: at exit, Python would close them again.
            pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()
