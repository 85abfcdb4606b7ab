"""Protocol for the progress of a run: that of its prompts, and the scores of all tasks after each stage."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from sapo_lite.prompts.indicators import CandidateValue, Indicator
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.prompts.pool import Rejection
from sapo_lite.prompts.progress import PromptProgress
from sapo_lite.run.workplan import RunPlan
from sapo_lite.support.progress import Meter
from sapo_lite.types import Candidate


class RunProgress(PromptProgress, Protocol):
    """PromptProgress that also shows R so far, in percent: a row for each stage, a column for each task.

    `metrics` has the tasks in order, each with the metric of its scores; `watched` has the scores of what is
    watched, by name and stage. `indicated` shows a task's candidates by an indicator other than loss.
    `planned` gets the plan of the whole run, `reached` each stage that begins; 0 is before any training.
    """

    def planned(self, plan: RunPlan) -> None: ...

    def reached(self, stage: int) -> None: ...

    def indicated(
        self, pool: Sequence[Candidate], values: Sequence[CandidateValue], indicator: Indicator
    ) -> None: ...

    def scores(
        self,
        metrics: Mapping[str, str],
        groups: Sequence[str],
        rows: Sequence[Sequence[float]],
        watched: Mapping[str, Sequence[float]],
    ) -> None: ...


class Silent:
    """A RunProgress that shows nothing. Notices go to `on_notice`."""

    def __init__(self, on_notice: Callable[[str], None]) -> None:
        self._on_notice = on_notice

    def notice(self, text: str) -> None:
        self._on_notice(text)

    @contextmanager
    def work(self, label: str, total: int, unit: str) -> Iterator[Meter]:
        yield self

    def advance(self, amount: int = 1, note: str = "") -> None:
        pass

    def stage(self, title: str) -> None:
        pass

    def pool(
        self, task: str, candidates: Sequence[Candidate], rejected: Sequence[Rejection], wanted: int
    ) -> None:
        pass

    def candidates(
        self, pool: Sequence[Candidate], scores: Sequence[CandidateLoss], final: bool = False
    ) -> None:
        pass

    def planned(self, plan: RunPlan) -> None:
        pass

    def reached(self, stage: int) -> None:
        pass

    def indicated(
        self, pool: Sequence[Candidate], values: Sequence[CandidateValue], indicator: Indicator
    ) -> None:
        pass

    def scores(
        self,
        metrics: Mapping[str, str],
        groups: Sequence[str],
        rows: Sequence[Sequence[float]],
        watched: Mapping[str, Sequence[float]],
    ) -> None:
        pass
