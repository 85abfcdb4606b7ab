"""Answered test rows, as the files of a run keep them. Imports no torch: reports read these files."""

from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True)
class Row:
    """One test row and the model's answer to it.

    input: what the model read, without instruction and suffix; cut if it was too long
    reference: the right answer; a list of texts where there are several
    score: of the answer by the task's own metric, in percent
    """

    input: str
    reference: str | list[str]
    answer: str
    score: float


@dataclass(frozen=True)
class Evaluation:
    """A task's test rows with answers, and mean scores in percent, by metric (and TASK_METRIC)."""

    rows: list[Row]
    scores: dict[str, float]


@dataclass(frozen=True)
class WatchScores:
    """Scores of a watched set or task.

    metric: name of its score
    rows: questions with the right and the given answers: texts, or for choices the chosen ones
    parts: mean scores by category, in percent; empty if there are no categories
    """

    metric: str
    rows: list[Row]
    parts: dict[str, float]

    @property
    def score(self) -> float:
        """Mean score in percent."""
        return fmean(row.score for row in self.rows)
