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
# Beside them: BWT alone says nothing of a task that was hardly learned, since R[j,j] is taken off.
IN_TASK = "mean over i of R[i,i]"
RETENTION = "mean over j<N of R[N,j] / R[j,j]"


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


@dataclass(frozen=True)
class Retention:
    """What was learned of the tasks, and the share of it that is left at the end of a sequence.

    in_task: mean of R[j,j], in the unit of R; None without a sequence of tasks
    retention: mean of R[N,j] / R[j,j] over the tasks before the last, 1.0 if nothing is lost or gained; None
        without such tasks
    left_out: number of tasks before the last with R[j,j] = 0, which have no share and are not in `retention`
    """

    in_task: float | None
    retention: float | None
    left_out: int = 0


def retention(learned: Sequence[float], end: Sequence[float]) -> Retention:
    """Retention of R[j,j] and R[N,j], each by task in the order of learning."""
    pairs = list(zip(learned, end, strict=True))[:-1]
    shares = [after / before for before, after in pairs if before]
    return Retention(_mean(learned), _mean(shares) if shares else None, len(pairs) - len(shares))


def retention_of(r: Sequence[Sequence[float]]) -> Retention:
    """Retention of a matrix of N columns and N+1 rows; of other shapes, without a sequence, it is None."""
    if len(r) != len(r[0]) + 1:
        return Retention(None, None)
    return retention([r[j + 1][j] for j in range(len(r[0]))], r[-1])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
