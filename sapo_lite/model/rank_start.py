"""Start and end of the other ranks of a run."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import torch

from sapo_lite.errors import BackboneError
from sapo_lite.model.rank_links import store_of
from sapo_lite.model.rank_process import serve
from sapo_lite.model.ranks import Ranks

_START = "spawn"  # CUDA does not work in a forked process


@contextlib.contextmanager
def started(size: int, log: Path) -> Iterator[Ranks | None]:
    """Context with the other ranks of a run of `size` processes; None for a run of one.

    log: takes what libraries write in them

    Raises:
        BackboneError: there are fewer GPUs.
    """
    if size == 1:
        yield None
        return
    _require_gpus(size)
    from torch.multiprocessing.spawn import start_processes

    threads, before = torch.get_num_threads(), torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        threads = max(1, before // size)
    store = store_of(0, size, is_master=True)
    cap = torch.cuda.get_per_process_memory_fraction() if torch.cuda.is_available() else None
    arguments = (store.port, size, log.absolute(), threads, gpus(size), cap)
    with _signals_ignored():  # the processes inherit it: rank 0 alone decides how a run ends
        context = start_processes(serve, arguments, size - 1, join=False, daemon=True, start_method=_START)
    torch.set_num_threads(threads)
    ranks = Ranks(size, log, context.processes, store)
    try:
        yield ranks
    finally:
        ranks.close()
        torch.set_num_threads(before)


def _require_gpus(size: int) -> None:
    if torch.cuda.is_available() and torch.cuda.device_count() < size:
        raise BackboneError(
            f"--processes {size}: expected at most {torch.cuda.device_count()}, the number of GPUs: each "
            "process has one to itself."
        )


def gpus(size: int) -> list[str]:
    """CUDA's name of the GPU of each rank; empty without GPUs."""
    if not torch.cuda.is_available():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return (visible.split(",") if visible else [str(number) for number in range(size)])[:size]


@contextlib.contextmanager
def _signals_ignored() -> Iterator[None]:
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
