"""Execution of many items, each as soon as it is ready: in processes here, on Ray, or on Slurm.

The program that waits holds no state: finished work is in the items' folders, so a killed call can be
repeated.
"""

import contextlib
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
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


class Workers(Protocol):
    """What executes the items.

    jobs: greatest number of items at a time
    log: file for what libraries write in them
    fresh: use a new pool for every item, so that its memory is free before the next one starts
    """

    @property
    def jobs(self) -> int: ...

    @property
    def log(self) -> Path: ...

    @property
    def fresh(self) -> bool: ...

    def pool(self, size: int) -> AbstractContextManager[Executor]:
        """A pool for so many items at a time. If its block raises an exception, all work in it ends."""


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
        pool: Executor | None = None
        while waiting or running:
            free = workers.jobs - len(running)
            for item in [item for item in waiting if ready(item, finished)][:free]:
                if pool is None or workers.fresh:
                    stack.close()
                    pool = stack.enter_context(workers.pool(min(workers.jobs, len(items))))
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
