"""How far a programme of many items is, and how long the rest will take."""

from dataclasses import dataclass


@dataclass
class Tally:
    """What is done, in items and in estimated work, and what that took.

    total: items
    work: of all of them, in estimated seconds of one process; in other units, `left` needs a measured item
    """

    total: int
    work: float
    jobs: int
    items: int = 0
    done: float = 0.0
    measured: float = 0.0  # estimated work of what this call did itself
    spent: float = 0.0  # and what that took, in seconds

    def add(self, estimated: float, took: float) -> None:
        self.items += 1
        self.done += estimated
        if took:  # what an earlier call had finished tells nothing of this machine
            self.spent += took
            self.measured += estimated

    @property
    def left(self) -> float:
        """Seconds of wall time that are left, corrected by what items took so far."""
        scale = self.spent / self.measured if self.measured else 1.0
        return scale * (self.work - self.done) / self.jobs
