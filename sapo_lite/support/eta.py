"""Estimate of the time that is left for a number of items."""

from dataclasses import dataclass


@dataclass
class Eta:
    """Estimate of the time left, from the finished items and the seconds they took.

    total: number of items
    work: of all items, in estimated seconds of one process; in any other unit, `left` is right only after
        one item was measured
    """

    total: int
    work: float
    jobs: int
    items: int = 0
    done: float = 0.0
    measured: float = 0.0  # estimated work of the items that this call executed
    spent: float = 0.0  # seconds that these items took

    def add(self, estimated: float, took: float) -> None:
        self.items += 1
        self.done += estimated
        if took:  # 0 for items that were already finished: they took no time now
            self.spent += took
            self.measured += estimated

    @property
    def left(self) -> float:
        """Seconds of wall time left, corrected by the time that the measured items took."""
        scale = self.spent / self.measured if self.measured else 1.0
        return scale * (self.work - self.done) / self.jobs
