"""Test rows whose score changed since their task was learned, cut to what a page can hold."""

from collections.abc import Sequence
from dataclasses import dataclass

from sapo_lite.evaluation.flips import Flip
from sapo_lite.run.read_run import StageRead, changed_rows

MOST_ROWS = 400  # of all tasks; with texts of this length, they are about 1 MB
LONGEST = 600  # characters of a text


@dataclass(frozen=True)
class Changed:
    """Rows that changed: of each task the largest losses, then the largest gains, up to its share.

    left_out: number of rows that are not shown
    stages: names of the stages that changed rows, by number
    """

    rows: list[Flip]
    left_out: int
    stages: dict[int, str]

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(row.task for row in self.rows))


def changed_by_stage(stages: Sequence[StageRead], tasks: Sequence[str]) -> Changed:
    """Changed rows of the tasks, and of what is watched.

    Raises:
        RunFolderError: answers are missing or damaged.
    """
    finished = any(stage.record for stage in stages)  # or the results alone were kept
    found = {task: changed_rows(stages, task) for task in tasks if finished}
    found = {task: rows for task, rows in found.items() if rows}
    share = MOST_ROWS // max(1, len(found))
    shown = [row for rows in found.values() for row in _extremes(rows, share)]
    names = {stage.number: stage.name for stage in stages}
    numbers = sorted({row.stage for row in shown})
    return Changed(
        shown, sum(map(len, found.values())) - len(shown), {number: names[number] for number in numbers}
    )


def _extremes(rows: Sequence[Flip], most: int) -> list[Flip]:
    """All rows if they are few, else losses first: `rows` has the largest losses first, gains last."""
    losses = [row for row in rows if row.lost][:most]
    gains = [row for row in reversed(rows) if not row.lost][: most - len(losses)]
    return losses + gains
