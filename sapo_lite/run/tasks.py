"""The tasks of a run: those of its sequence, with metrics that can be used."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import DataError
from sapo_lite.evaluation.metrics import METRICS
from sapo_lite.evaluation.own_metrics import with_metrics
from sapo_lite.types import Task, learned_tasks

if TYPE_CHECKING:
    from sapo_lite.recipe import SequenceConfig


def load_run_tasks(
    sequence: "SequenceConfig", data: Path | None, notify: Callable[[str], None] = lambda notice: None
) -> list[Task]:
    """Like `load_sequence`; metrics of the user are found, imported and called once.

    Raises:
        DataError: tasks have faults, one a line.
        RecipeError: metrics have faults, one a line.
    """
    tasks = load_sequence(sequence, data, notify)
    if not learned_tasks(tasks):
        raise DataError(
            "sequence.task: expected a task to learn, found only watched ones. Take watch = true from one."
        )
    return with_metrics(tasks, list(METRICS), sequence.folder)
