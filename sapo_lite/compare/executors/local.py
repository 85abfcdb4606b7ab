"""Executor of many items in worker processes. An item starts as soon as it is ready.

The parent process holds no state: finished work is in the items' folders, so a killed call can be repeated.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol, TypeVar

from sapo_lite.errors import WorkerError

Item = TypeVar("Item")
_ItemIn = TypeVar("_ItemIn", contravariant=True)

_LOOK_AGAIN = 1.0  # seconds between checks whether a waiting item is ready


class Watcher(Protocol[_ItemIn]):
    """Callbacks for items that start and finish; `took` is in seconds, 0 for an already finished item."""

    def started(self, item: _ItemIn) -> None: ...

    def finished(self, item: _ItemIn, took: float) -> None: ...


@dataclass(frozen=True)
class Workers:
    """Settings of the worker processes.

    jobs: greatest number of processes
    log: file for output of libraries that does not go through sys.stderr
    prepare: called once in each process
    fresh: use new processes for every item, so that their memory is free before the next one starts
    """

    jobs: int
    log: Path
    prepare: Callable[[], None]
    fresh: bool = False


def do_all(
    items: Sequence[Item],
    do: Callable[[Item], float],
    workers: Workers,
    watcher: Watcher[Item],
    ready: Callable[[Item, Collection[Item]], bool],
) -> None:
    """Execute all items, in their order as far as possible.

    do: executes an item in a worker process; returns the seconds for `Watcher.finished`
    ready: `ready(item, finished)` returns whether an item can start. It must be true once all items before it
        are finished

    Raises:
        SapoLiteError: the error of an item; later items were not started.
    """
    waiting, finished, running = list(items), set[Item](), dict[Future[float], Item]()
    with contextlib.ExitStack() as stack:
        pool: ProcessPoolExecutor | None = None
        while waiting or running:
            free = workers.jobs - len(running)
            for item in [item for item in waiting if ready(item, finished)][:free]:
                if pool is None or workers.fresh:
                    stack.close()
                    pool = stack.enter_context(_pool(workers, min(workers.jobs, len(items))))
                waiting.remove(item)
                running[pool.submit(do, item)] = item
                watcher.started(item)
            done, _ = wait(running, _LOOK_AGAIN, FIRST_COMPLETED)
            for future in done:
                took = _result(future, workers.log)
                finished.add(item := running.pop(future))
                watcher.finished(item, took)


def _result(future: Future[float], log: Path) -> float:
    try:
        return future.result()
    except BrokenProcessPool:
        raise WorkerError(
            f"a worker process ended in the middle of its work (out of memory?); look into the log.txt of "
            f"the folders in {log.parent}. The same command goes on where it stopped."
        ) from None


@contextlib.contextmanager
def _pool(workers: Workers, size: int) -> Iterator[ProcessPoolExecutor]:
    """Pool of processes that import the libraries once. After an error or an interrupt they are killed."""
    context = get_context("spawn")
    arguments = (workers.log, workers.prepare, os.getpid())
    pool = ProcessPoolExecutor(size, context, initializer=_begin, initargs=arguments)
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
        # Wait for the pool's thread, which closes its pipes: at exit, Python would close them a second time.
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def _begin(log: Path, prepare: Callable[[], None], parent: int) -> None:
    """Start of a worker process: send stderr to `log`, and end the process if its parent ends."""
    # By file descriptor: some libraries write from destructors and bypass sys.stderr.
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)  # else workers of a killed parent would keep the locks of their folders

    threading.Thread(target=watch, daemon=True).start()
    prepare()
