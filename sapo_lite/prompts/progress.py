"""Progress of paraphrasing and scoring: pools of candidates and their losses, as they come."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.prompts.pool import Rejection
from sapo_lite.support.progress import Meter, Progress
from sapo_lite.types import Candidate


class PromptProgress(Progress, Protocol):
    """Progress that shows candidates; `final` losses are those of all candidates."""

    def pool(self, task: str, candidates: Sequence[Candidate], rejected: Sequence[Rejection]) -> None: ...

    def candidates(
        self, pool: Sequence[Candidate], scores: Sequence[CandidateLoss], final: bool = False
    ) -> None: ...


class Silent:
    """A PromptProgress that shows nothing."""

    def stage(self, title: str) -> None:
        pass

    @contextmanager
    def work(self, label: str, total: int, unit: str) -> Iterator[Meter]:
        yield _NoMeter()

    def notice(self, text: str) -> None:
        pass

    def pool(self, task: str, candidates: Sequence[Candidate], rejected: Sequence[Rejection]) -> None:
        pass

    def candidates(
        self, pool: Sequence[Candidate], scores: Sequence[CandidateLoss], final: bool = False
    ) -> None:
        pass


class _NoMeter:
    def advance(self, amount: int = 1, note: str = "") -> None:
        pass
