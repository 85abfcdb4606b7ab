"""Where the time and the memory went, and on what machine. Kept apart from results, which must not vary."""

import contextlib
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from sapo_lite.run.folder import RunFolder


class Usage:
    """Seconds by kind of work and peak memory, added up over the processes that worked on a run."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def measure(self, kind: str) -> Iterator[None]:
        """Add the seconds spent inside to `kind`; written at once, so an interrupted run keeps them."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._folder.add_usage({kind: time.perf_counter() - start}, peak_memory())


def peak_memory() -> dict[str, float]:
    """Peak memory of this process in gigabytes: "cpu", and "cuda" where there is a device."""
    # getrusage counts kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = {"cpu": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9}
    if torch.cuda.is_available():
        peak["cuda"] = torch.cuda.max_memory_reserved() / 1e9
    return peak


def forget_peaks() -> None:
    """Peaks count from here on, in a process that does one run after another (Linux; and CUDA)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
