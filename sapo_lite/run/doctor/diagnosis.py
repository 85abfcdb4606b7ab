"""All checks, one after another; those that wait for other programs run meanwhile."""

import contextlib
import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from sapo_lite.run.doctor import four_bit
from sapo_lite.run.doctor.check import Check
from sapo_lite.run.doctor.gpu import gpu
from sapo_lite.run.doctor.kernels import kernels
from sapo_lite.run.doctor.software import software
from sapo_lite.run.doctor.surroundings import surroundings


def diagnose(*, on_gpu: bool = False, report: Callable[[Check], None] = lambda check: None) -> list[Check]:
    """Check this installation and machine. Takes a few seconds, most of them for imports.

    on_gpu: whether small runs on the GPU follow, which take minutes
    report: called with each check as it is done
    """
    found: list[Check] = []
    with _without_collection(), ThreadPoolExecutor(1) as other:
        process = four_bit.start()
        outside = other.submit(lambda: list(surroundings()))
        for check in _all(partial(four_bit.result, process), outside.result, on_gpu):
            found.append(check)
            report(check)
    return found


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Context without garbage collection, which takes a tenth of the time: a million objects are imported."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _all(layers: Callable[[], Check], outside: Callable[[], list[Check]], on_gpu: bool) -> Iterator[Check]:
    yield from software()
    yield kernels()
    yield layers()
    yield from outside()
    if on_gpu:
        yield from gpu()
