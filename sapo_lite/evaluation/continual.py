"""Continual-learning metrics on the score matrix R (SAPO, released code).

R has N+1 rows for N tasks: R[0][j] is the zero-shot score on task j, R[i][j] the score on task j
after training task i (both 1-based for i >= 1, j as a task number). Here columns are 0-based, so
task i's own score after training is R[i][i-1]. Other work uses the same names differently: the
formulas are printed beside the numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

FORMULAS = {
    "AP": "mean over j of R[N,j]",
    "BWT": "mean over i=2..N of mean over j<i of (R[i,j] - R[j,j])",
    "FWT": "mean over i=1..N-1 of mean over j>i of (R[i,j] - R[0,j])",
}
IN_TASK = "mean over i of R[i,i]"


@dataclass(frozen=True)
class ContinualMetrics:
    """AP, BWT and FWT in the unit of R. BWT and FWT are None for a single task or without a task sequence."""

    ap: float
    bwt: float | None
    fwt: float | None

    def __getitem__(self, name: str) -> float | None:
        """The metric that FORMULAS call `name`."""
        return {"AP": self.ap, "BWT": self.bwt, "FWT": self.fwt}[name]


def continual_metrics(r: Sequence[Sequence[float]]) -> ContinualMetrics:
    """Metrics of a matrix of N columns and N+1 rows: one row if nothing was trained, two if all at once.

    Without a sequence of tasks (one or two rows), only AP is defined.

    Raises:
        ValueError: the matrix has an invalid shape.
    """
    n = len(r[0]) if r else 0
    if n == 0 or len(r) not in {1, 2, n + 1} or any(len(row) != n for row in r):
        raise ValueError(f"R must have N+1 rows of N scores; found rows of {[len(row) for row in r]}")
    if n == 1 or len(r) < n + 1:
        return ContinualMetrics(ap=_mean(r[-1]), bwt=None, fwt=None)
    backward = [_mean([r[i][j] - r[j + 1][j] for j in range(i - 1)]) for i in range(2, n + 1)]
    forward = [_mean([r[i][j] - r[0][j] for j in range(i, n)]) for i in range(1, n)]
    return ContinualMetrics(ap=_mean(r[n]), bwt=_mean(backward), fwt=_mean(forward))


def in_task_accuracy(r: Sequence[Sequence[float]]) -> float | None:
    """Mean over tasks of R[i][i-1], the score right after learning the task. None without a sequence."""
    n = len(r[0])
    return _mean([r[i + 1][i] for i in range(n)]) if len(r) == n + 1 else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
