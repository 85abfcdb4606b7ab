"""What a run of another process is doing, as rich renderables."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from sapo_lite.report.colours import ACTIVE
from sapo_lite.report.tables import score_matrix
from sapo_lite.run.under_way import UnderWay
from sapo_lite.support.messages import duration

# Seconds without a change after which a run may have ended.
_QUIET = 120.0


def heading(name: str, found: UnderWay) -> str:
    """`lab-20260131-142500  task 2 of 5 · 0.8 GB`."""
    position = f"task {min(len(found.stages) + 1, found.total)} of {found.total}"
    parts = ([position] if found.r else []) + ([f"{found.step.memory_gb:.1f} GB"] if found.step else [])
    return "  ".join([name, " · ".join(parts)]).rstrip()


def under_way_view(name: str, found: UnderWay) -> RenderableType:
    """Where the run is, what it does, and R so far."""
    return Group(*_parts(name, found))


def _parts(name: str, found: UnderWay) -> Iterator[RenderableType]:
    yield Text(heading(name, found), style="bold", no_wrap=True, overflow="ellipsis")
    yield Text(found.doing, style=ACTIVE, no_wrap=True, overflow="ellipsis")
    if found.idle > _QUIET:
        yield Text(f"nothing has changed for {duration(found.idle)}: the run may have stopped", style="bold")
    if found.r:
        metrics = dict.fromkeys(found.tasks, "")
        yield score_matrix(metrics, found.stages, found.r, "R so far, %")
