"""Flips: test rows whose score changed between two tests, and the stage that changed them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sapo_lite.evaluation.rows import Row


@dataclass(frozen=True)
class Flip:
    """A test row whose score changed.

    task: its key
    stage: number of the last stage in which the score fell, or of a gain, rose
    row: number of the row in the task's test rows, from 1
    before, after: answers
    score_before, score_after: of these answers by the task's own metric, in percent
    """

    task: str
    stage: int
    row: int
    input: str
    reference: str | list[str]
    before: str
    after: str
    score_before: float
    score_after: float

    @property
    def lost(self) -> bool:
        """Whether the score is lower now."""
        return self.score_after < self.score_before


def flips(
    before: Sequence[Row],
    after: Sequence[Row],
    task: str,
    stage: int,
    between: Sequence[tuple[int, Sequence[Row]]] = (),
) -> list[Flip]:
    """Rows of a task whose score differs in two tests: the largest losses first, the largest gains last.

    stage: number of the stage that `after` is the test of
    between: number and test of the stages between the two, in order

    Raises:
        ValueError: the tests have other numbers of rows.
    """
    tests = [*between, (stage, after)]
    found = []
    for number, rows in enumerate(zip(before, *(test for _, test in tests), strict=True)):
        old, new = rows[0], rows[-1]
        if old.score == new.score:
            continue
        down = new.score < old.score
        moved = [
            place
            for (one, other), (place, _) in zip(pairwise(rows), tests, strict=True)
            if one.score != other.score and (other.score < one.score) == down
        ]
        texts = (new.input, new.reference, old.answer, new.answer)
        found.append(Flip(task, moved[-1], number + 1, *texts, old.score, new.score))
    return sorted(found, key=lambda flip: flip.score_after - flip.score_before)
