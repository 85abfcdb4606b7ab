"""Protocol for the progress of paraphrasing and scoring: pools of candidates and their losses."""

from collections.abc import Sequence
from typing import Protocol

from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.prompts.pool import Rejection
from sapo_lite.support.progress import Progress
from sapo_lite.types import Candidate


class PromptProgress(Progress, Protocol):
    """Progress that shows candidates; `final` losses are those of all candidates.

    `pool` is called after every answer about a task that is to have `wanted` paraphrases.
    """

    def pool(
        self, task: str, candidates: Sequence[Candidate], rejected: Sequence[Rejection], wanted: int
    ) -> None: ...

    def candidates(
        self, pool: Sequence[Candidate], scores: Sequence[CandidateLoss], final: bool = False
    ) -> None: ...
