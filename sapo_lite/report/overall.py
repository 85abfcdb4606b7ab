"""How much of a run is done, and the time it has left, from its plan and from what the meters count."""

import time
from collections.abc import Callable

from sapo_lite.run.workplan import RunPlan

# Weight of one unit of the meters, in forward passes, as in Work.weight. Of steps, it depends on the stage.
_WEIGHTS = {"examples": 1.0, "choices": 1.0, "answers": 2.0}


class Overall:
    """Share of a run's work that is done, and the seconds left.

    Work that is skipped (a race that ends early, a stage that is read) counts as done when its stage ends.
    The speed is that of what was counted in this process: so is the time left of a run that goes on.
    """

    def __init__(self, plan: RunPlan, clock: Callable[[], float] = time.monotonic) -> None:
        self.stages = max(piece.stage for piece in plan.pieces)
        works = [plan.of_stage(number) for number in range(self.stages + 1)]
        self._weights = [work.weight for work in works]
        self._of_a_step = [3.0 * work.rows / max(1, work.steps) for work in works]
        self._clock = clock
        self.stage = 0
        self._in_stage = 0.0
        self._measured = 0.0
        self._spent = 0.0
        self._since: float | None = None

    def reach(self, stage: int) -> None:
        """The stage of this number begins; those before it are done."""
        self.stage, self._in_stage, self._since = stage, 0.0, None

    def begin(self) -> None:
        """A piece of work begins: seconds since then are those of what it counts."""
        self._since = self._clock()

    def advance(self, amount: int, unit: str) -> None:
        weight = self._of_a_step[self.stage] if unit == "steps" else _WEIGHTS.get(unit, 0.0)
        now = self._clock()
        if weight and self._since is not None:
            self._spent += now - self._since
            self._measured += weight * amount
        self._since = now
        self._in_stage += weight * amount

    @property
    def share(self) -> float:
        """Share of the work that is done, 0 to 1."""
        within = min(self._in_stage, self._weights[self.stage])
        return (sum(self._weights[: self.stage]) + within) / sum(self._weights)

    @property
    def left(self) -> float | None:
        """Seconds left; None before anything was counted."""
        if not self._measured or not self._spent:
            return None
        return (1.0 - self.share) * sum(self._weights) * self._spent / self._measured
