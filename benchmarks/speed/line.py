"""A peer and sapo-lite at the same work, in alternating rounds: the figures of one line of a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

from benchmarks.speed.scoring.clock import Clock, Seconds, median_ratio
from benchmarks.speed.sheet import Sheet

T = TypeVar("T")
Measured = tuple[T, Seconds]


def alternately(
    ways: Mapping[str, Callable[[int], Measured[T]]], rounds: int
) -> dict[str, list[Measured[T]]]:
    """Results and costs of every way in every round. A way is called with the number of the round."""
    found: dict[str, list[Measured[T]]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            found[name].append(way(number))
    return found


@dataclass(frozen=True)
class Line:
    """Costs of a peer and of sapo-lite, one for each round.

    goal: of the ratio of the two; None if there is none
    limit: seconds of each round at the rate that matrix products have in it; empty if it is not known
    difference: of the results, and `tolerance` what may come from rounding; both as `unit` says
    """

    task: str
    work: str
    peer: str
    theirs: tuple[Seconds, ...]
    ours: tuple[Seconds, ...]
    difference: float
    tolerance: float
    unit: str
    goal: float | None = None
    limit: tuple[float, ...] = ()
    limit_goal: float | None = None

    def ratio(self, clock: Clock) -> float:
        """The median over rounds of the peer's time / sapo-lite's."""
        return median_ratio(self.theirs, self.ours, clock)

    def limit_share(self, clock: Clock) -> float | None:
        """Limit / time of sapo-lite, the median over rounds: 1 is as fast as the arithmetic."""
        pairs = zip(self.limit, self.ours, strict=True)
        return median(limit / spent.on(clock) for limit, spent in pairs) if self.limit else None

    @property
    def fault(self) -> str | None:
        if self.difference <= self.tolerance:
            return None
        return (
            f"{self.task}: {self.unit} of {self.peer} and of sapo-lite differ by {self.difference:.1e}, more "
            f"than {self.tolerance:g}"
        )

    def to_json(self, clock: Clock) -> dict[str, Any]:
        costs = {"theirs": [vars(s) for s in self.theirs], "ours": [vars(s) for s in self.ours]}
        return {**vars(self), **costs, "ratio": self.ratio(clock), "limit_share": self.limit_share(clock)}


def sheet(title: str, lines: Sequence[Line], clock: Clock) -> Sheet:
    """One row a line; costs are medians over rounds."""
    columns = [
        "task",
        "work",
        "peer",
        "rounds",
        f"peer, {clock} s",
        f"ours, {clock} s",
        "peer / ours",
        "goal",
    ]
    limited = any(line.limit for line in lines)
    columns += ["limit, s", "limit / ours", "goal"] if limited else []
    columns += [f"{lines[0].unit} differ by", "allowed"]
    return Sheet(title, columns, [_cells(line, clock, limited) for line in lines])


def _cells(line: Line, clock: Clock, limited: bool) -> list[str]:
    theirs, ours = (median(s.on(clock) for s in part) for part in (line.theirs, line.ours))
    cells = [line.task, line.work, line.peer, f"{len(line.ours)}", f"{theirs:.2f}", f"{ours:.2f}"]
    cells += [f"{line.ratio(clock):.2f}", "" if line.goal is None else f"{line.goal:g}"]
    share = line.limit_share(clock)
    if limited:
        cells += ["", ""] if share is None else [f"{median(line.limit):.2f}", f"{share:.0%}"]
        cells.append("" if line.limit_goal is None else f"{line.limit_goal:.0%}")
    return [*cells, f"{line.difference:.1e}", f"{line.tolerance:g}"]
