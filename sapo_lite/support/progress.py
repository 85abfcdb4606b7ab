"""Protocols for reporting progress, without a display."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.prompts.pool import Rejection
from sapo_lite.types import Candidate


class Meter(Protocol):
    """Progress of one piece of work of known length."""

    def advance(self, amount: int = 1, note: str = "") -> None: ...


class Display(Protocol):
    """What the pipeline tells about itself."""

    def stage(self, title: str) -> None: ...

    def work(self, label: str, total: int, unit: str) -> AbstractContextManager[Meter]: ...

    def pool(self, task: str, candidates: Sequence[Candidate], rejected: Sequence[Rejection]) -> None: ...

    def candidates(
        self, pool: Sequence[Candidate], scores: Sequence[CandidateLoss], final: bool = False
    ) -> None: ...

    def scores(
        self, tasks: Sequence[str], lessons: Sequence[str], rows: Sequence[Sequence[float]]
    ) -> None: ...

    def notice(self, text: str) -> None: ...
