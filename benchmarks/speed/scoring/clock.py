"""Cost of a piece of work in seconds of CPU and wall time; and the machine."""

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal, TypeVar

import psutil
import torch

from sapo_lite.support.messages import many

Clock = Literal["cpu", "wall"]
CLOCKS: tuple[Clock, ...] = ("cpu", "wall")
T = TypeVar("T")


@dataclass(frozen=True)
class Seconds:
    """cpu: of all threads of this process, so other processes hardly affect it; wall: elapsed time."""

    cpu: float
    wall: float

    def on(self, clock: Clock) -> float:
        return self.cpu if clock == "cpu" else self.wall


def timed(work: Callable[[], T]) -> tuple[T, Seconds]:
    """The result of the work, and its time until the device has finished."""
    begin = now()
    result = work()
    return result, since(begin)


def now() -> Seconds:
    """The time on both clocks, once the device has finished."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return Seconds(time.process_time(), time.perf_counter())


def since(begin: Seconds) -> Seconds:
    """What has passed since `begin`, a time of `now`."""
    end = now()
    return Seconds(end.cpu - begin.cpu, end.wall - begin.wall)


def main_clock() -> Clock:
    """The clock for ratios: CPU time with a single thread; wall time with many threads or a GPU."""
    alone = torch.get_num_threads() == 1 and not torch.cuda.is_initialized()
    return "cpu" if alone else "wall"


def total(parts: Sequence[Seconds]) -> Seconds:
    return Seconds(sum(part.cpu for part in parts), sum(part.wall for part in parts))


def median_ratio(slow: Sequence[Seconds], fast: Sequence[Seconds], clock: Clock) -> float:
    """The median over rounds of the ratio slow / fast."""
    return statistics.median(a.on(clock) / b.on(clock) for a, b in zip(slow, fast, strict=True))


def machine() -> dict[str, str]:
    """Processor or GPU, threads and versions, without which a figure has no meaning."""
    packages = {name: metadata.version(name) for name in ("transformers", "trl", "peft")}
    if torch.cuda.is_initialized():
        device = torch.cuda.get_device_name()
    else:
        threads = many(torch.get_num_threads(), "thread")
        device = f"{_processor()}, {psutil.cpu_count(logical=False)} cores, {threads}"
    return {"device": device, "python": platform.python_version(), "torch": torch.__version__, **packages}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
