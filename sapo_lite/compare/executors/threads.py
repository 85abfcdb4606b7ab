"""Pools for executors on other machines: here, one thread waits for each item."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from threading import Event


@contextlib.contextmanager
def waiting_threads(size: int, stop: Event) -> Iterator[Executor]:
    """A pool of `size` threads. `stop` is set if the block ends by an exception: they must then end soon."""
    stop.clear()
    with ThreadPoolExecutor(size, thread_name_prefix="cell") as pool:
        try:
            yield pool
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class StoppedError(Exception):
    """The comparison ends; what runs elsewhere was stopped."""
