"""Many items of work in worker processes, each begun when what it starts from is there.

The parent holds no state: what is done is in the items' folders, so that a killed one goes on.
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

_LOOK_AGAIN = 1.0  # seconds, while items wait for what others have in the making


class Watcher(Protocol[_ItemIn]):
    """Callbacks for items that start and finish; `took` is in seconds, 0 for one that was done before."""

    def started(self, item: _ItemIn) -> None: ...

    def finished(self, item: _ItemIn, took: float) -> None: ...


@dataclass(frozen=True)
class Workers:
    """Up to `jobs` processes. Each calls `prepare` once; what libraries say past sys.stderr goes to `log`.

    With `fresh`, every item has processes of its own, whose memory is free before the next begins.
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
    """Do every item, as far as possible in their order. `do` returns the seconds for `Watcher.finished`.

    `ready(item, finished)` says whether an item can begin. It must hold once all before it are finished.

    Raises:
        SapoLiteError: what an item raised; those after it were not begun.
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
    """Processes that import the libraries once. On an error or an interrupt they are not waited for."""
    context = get_context("spawn")
    arguments = (workers.log, workers.prepare)
    pool = ProcessPoolExecutor(size, context, initializer=_begin, initargs=arguments)
    # They inherit that they are not to be interrupted, which they else are while they import.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    for _ in range(size):
        pool.submit(os.getpid)
    signal.signal(signal.SIGINT, before)
    try:
        yield pool
    except BaseException:
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()  # what they have finished is in their folders
        raise
    pool.shutdown()


def _begin(log: Path, prepare: Callable[[], None]) -> None:
    """What libraries say goes to `log`, and the process ends when its parent does."""
    # Some write from their destructors, past sys.stderr.
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)  # else a killed parent would leave workers behind that hold their folders

    threading.Thread(target=watch, daemon=True).start()
    prepare()
