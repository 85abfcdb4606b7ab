"""Types of a strategy: what describes one, and what it gets. sapo_lite.prompts.strategies has them all.

This module does not import torch, so a recipe is checked at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sapo_lite.prompts.indicators import CandidateValue, Indicator
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.prompts.schedules import PromptSchedule, TrainingContext
from sapo_lite.types import Candidate

if TYPE_CHECKING:
    from sapo_lite.recipe import PromptConfig


@dataclass(frozen=True)
class StrategyInput:
    """Input of a strategy. Without need of losses, `scores` is empty; without an indicator, `values`.

    `training` is for schedules that use the model's losses during training.
    """

    config: "PromptConfig"
    candidates: Sequence[Candidate]
    scores: Sequence[CandidateLoss]
    values: Sequence[CandidateValue]
    seed: str
    training: TrainingContext

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(candidate.text for candidate in self.candidates)


@dataclass(frozen=True)
class Sizes:
    """Sizes of one task's training.

    rows: of the task; candidates: to choose from
    scored: examples on which a candidate is scored
    steps, epochs, batch_size: of the training, which may have rows of other tasks
    """

    rows: int
    candidates: int
    scored: int
    steps: int
    epochs: int
    batch_size: int


def _none_in_training(_config: "PromptConfig", _sizes: Sizes) -> int:
    return 0


def _none_held_out(_count: int) -> int:
    return 0


@dataclass(frozen=True)
class Strategy:
    """One way to choose a task's prompt. Work that a strategy does not need is skipped.

    description: one sentence on what it does
    choose: the candidate for every row and for testing
    needs_candidates: false if only the original is used; then no paraphrases are made and no model is asked
    needs_losses: whether it needs the pre-update losses of all candidates
    indicator: what candidates are compared by instead of their losses
    races: whether full losses of only the lowest candidates suffice (scoring.race)
    schedule: replaces the one candidate in training; `choose` then gives the candidate for testing (and for
        the first epoch of `Rescored`)
    forwards_in_training: rows x candidates that such a schedule scores during training, at most
    keeps_original: the candidate that it is tested with is always the original instruction
    held_out: default number of held-out paraphrases, from the number of candidates
    rewrites: switches the section [rewrite] on
    settings: keys of the section `prompt` that not every strategy takes
    variants: the strategies that some of these settings select
    """

    description: str
    choose: Callable[[StrategyInput], Candidate]
    needs_candidates: bool = True
    needs_losses: bool = True
    indicator: Indicator | None = None
    races: bool = False
    schedule: Callable[[StrategyInput], PromptSchedule] | None = None
    forwards_in_training: Callable[["PromptConfig", Sizes], int] = _none_in_training
    keeps_original: bool = False
    held_out: Callable[[int], int] = _none_held_out
    rewrites: bool = False
    settings: tuple[str, ...] = ()
    variants: "tuple[Variant, ...]" = ()

    @property
    def compares(self) -> bool:
        """Whether it compares candidates before training, by loss or by another indicator."""
        return self.needs_losses or self.indicator is not None

    @property
    def reads_the_model(self) -> bool:
        """Whether the state of the model decides this comparison."""
        return self.needs_losses or (self.indicator is not None and self.indicator.answers)


@dataclass(frozen=True)
class Variant:
    """The strategy that a value of a setting of the section `prompt` selects (a number: also any above).

    Its strategy has settings of its own: keys that are valid only with this value. The defaults of a recipe
    (held_out, rewrites) come from STRATEGIES only.
    """

    setting: str
    value: str | int
    strategy: Strategy

    def asked_for(self, prompt: Mapping[str, Any]) -> bool:
        found = prompt[self.setting]
        return bool(found == self.value if isinstance(self.value, str) else found >= self.value)
