"""Time and memory of a run. They are kept out of results.json, which must be the same in every run."""

import contextlib
import re
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from sapo_lite.run.folder import RunFolder


class Usage:
    """Seconds by kind of work, summed over all processes of a run, and peak memory."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def measure(self, kind: str) -> Iterator[None]:
        """Add the seconds of the block to `kind`. They are written even if the block fails."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._folder.add_usage({kind: time.perf_counter() - start}, peak_memory())


def peak_memory() -> dict[str, float]:
    """Peak memory of this process in gigabytes: "cpu", and "cuda" where there is a device."""
    peak = {"cpu": _peak_bytes() / 1e9}
    if torch.cuda.is_available():
        peak["cuda"] = torch.cuda.max_memory_reserved() / 1e9
    return peak


def _peak_bytes() -> int:
    """Most bytes that were resident. On Linux, getrusage would count those of the process that started it."""
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        if found := re.search(r"^VmHWM:\s+(\d+) kB$", status, flags=re.MULTILINE):
            return 1024 * int(found[1])
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on macOS, else kilobytes
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def forget_peaks() -> None:
    """Reset the peaks (on Linux, and of CUDA), in a process that does one run after another."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
