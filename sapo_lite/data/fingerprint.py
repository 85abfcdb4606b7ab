"""Fingerprints of a run's data."""

import hashlib
import json
from collections.abc import Sequence

from sapo_lite.types import Task


def data_fingerprint(tasks: Sequence[Task]) -> dict[str, str]:
    """SHA-256 (hex) by task id over everything a run reads of a task: instruction, suffix, language, rows.

    A resumed run compares them, so that results of changed data are never mixed.
    """
    return {task.id: hashlib.sha256(_canonical(task).encode()).hexdigest() for task in tasks}


def _canonical(task: Task) -> str:
    rows = [[(example.input, example.answer) for example in split] for split in (task.train, task.test)]
    return json.dumps([task.instruction, task.suffix, task.labels, task.language, rows])
