"""The tasks of a run: those of its sequence, with metrics that can be used."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sapo_lite.data.tasks import load_sequence
from sapo_lite.evaluation.metrics import METRICS
from sapo_lite.evaluation.own_metrics import with_metrics
from sapo_lite.types import Task

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
    return with_metrics(load_sequence(sequence, data, notify), list(METRICS), sequence.folder)
