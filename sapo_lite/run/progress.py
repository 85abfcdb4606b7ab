"""Protocol for the progress of a run: that of its prompts, and the scores of all tasks after each stage."""

from collections.abc import Sequence
from typing import Protocol

from sapo_lite.prompts.progress import PromptProgress


class RunProgress(PromptProgress, Protocol):
    """PromptProgress that also shows R so far, in percent: a row for each stage, a column for each task."""

    def scores(
        self, tasks: Sequence[str], lessons: Sequence[str], rows: Sequence[Sequence[float]]
    ) -> None: ...
