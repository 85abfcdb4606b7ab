"""Drops of a score between two tests, and whether they are beyond chance: paired over test rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class Drop:
    """What a task has lost between two tests of the same rows.

    before, after: mean scores in percent
    drop: their difference in points, above 0 for a loss
    standard_error: of the drop, in points; None for a single row
    bound: lower one-sided 95 % bound of the drop (Student's t on the rows' differences); None for one row
    rows: number of test rows
    """

    before: float
    after: float
    drop: float
    standard_error: float | None
    bound: float | None
    rows: int

    @property
    def beyond_chance(self) -> bool:
        return self.bound is not None and self.bound > 0

    def passes(self, line: float, unit: str) -> bool:
        """Whether the drop is beyond chance and larger than `line` points, or standard errors."""
        if not self.beyond_chance:
            return False
        return self.drop > line * (1.0 if unit == "points" else self.standard_error or 0.0)


def paired_drop(before: Sequence[float], after: Sequence[float]) -> Drop:
    """The drop between the scores, in percent, of the same rows in two tests (at least one row)."""
    losses = [old - new for old, new in zip(before, after, strict=True)]
    error = bound = None
    if len(losses) > 1:
        from scipy.stats import t  # a second: only where a guard is set

        error = stdev(losses) / math.sqrt(len(losses))
        bound = fmean(losses) - float(t.ppf(0.95, len(losses) - 1)) * error
    return Drop(fmean(before), fmean(after), fmean(losses), error, bound, len(losses))
