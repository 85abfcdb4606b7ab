"""What a task is trained on. A strategy returns rows, not a prompt: it may vary both wording and answers."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sapo_lite.prompts.losses import CandidateLoss, ranked
from sapo_lite.prompts.schedules import Adversarial, Rescored, Schedule, TrainingContext
from sapo_lite.prompts.scoring import highest, lowest
from sapo_lite.types import Candidate, PromptSchedule, Task, TrainingRow, TrainingSet

if TYPE_CHECKING:
    from sapo_lite.recipe import PromptConfig


@dataclass(frozen=True)
class Selection:
    """What a strategy decided: what the task is trained on, and the wording it is tested with."""

    part: TrainingSet
    chosen: Candidate


@dataclass(frozen=True)
class StrategyInput:
    """What a strategy has to go by. `scores` may be empty where it needs none.

    `training` is for wordings that ask the model while it is trained.
    """

    config: "PromptConfig"
    candidates: Sequence[Candidate]
    scores: Sequence[CandidateLoss]
    seed: str
    training: TrainingContext | None

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(candidate.text for candidate in self.candidates)


@dataclass(frozen=True)
class Strategy:
    """`choose` picks the wording that is put on every row, and that the task is tested with.

    What a strategy does not need is not done: no paraphrasing for `fixed`, no scoring for `random`.
    One that `races` needs full scores of the lowest losses only. One that has `wordings` trains with
    these instead; the one that is picked is then for testing (and for the first epoch of `Rescored`).
    """

    choose: Callable[[StrategyInput], Candidate]
    needs_candidates: bool = True
    needs_scores: bool = True
    races: bool = False
    wordings: Callable[[StrategyInput], PromptSchedule] | None = None


def _original(given: StrategyInput) -> Candidate:
    """The original instruction."""
    return given.candidates[0]


def _lowest(given: StrategyInput) -> Candidate:
    """The candidate with the lowest pre-update loss (SAPO)."""
    return given.candidates[lowest(given.scores).index]


def _highest(given: StrategyInput) -> Candidate:
    """The candidate with the highest pre-update loss (the paper's control, SAPP)."""
    return given.candidates[highest(given.scores).index]


def _any(given: StrategyInput) -> Candidate:
    """One candidate, the original included, drawn uniformly."""
    return random.Random(given.seed).choice(given.candidates)


def _uniform(given: StrategyInput) -> Schedule:
    """Every candidate as likely as the others (PAFT)."""
    return Schedule(given.texts, given.config.hold, given.seed)


def _importance(given: StrategyInput) -> Schedule:
    """Candidates in proportion to exp(-loss / temperature): those that SAPO likes are likelier.

    At temperature 1 that is the geometric mean of the probabilities that the model gives to the answer
    tokens. Towards 0 it becomes SAPO, towards infinity PAFT.
    """
    losses = {score.index: score.loss for score in given.scores}
    least = min(losses.values())
    weights = [math.exp((least - losses[c.index]) / given.config.temperature) for c in given.candidates]
    return Schedule(given.texts, given.config.hold, given.seed, tuple(weights))


def _best_few(given: StrategyInput) -> Schedule:
    """The `top_k` candidates of the lowest losses, uniformly; all of them where there are fewer."""
    best = sorted(score.index for score in ranked(given.scores)[: given.config.top_k])
    return Schedule(tuple(given.texts[index] for index in best), given.config.hold, given.seed)


def _adversarial(given: StrategyInput) -> Adversarial:
    assert given.training is not None
    config = given.config
    return Adversarial(
        given.candidates,
        draws=config.draws,
        hold=config.hold,
        seed=given.seed,
        record=given.training.record,
    )


def _rescored(given: StrategyInput) -> Rescored:
    assert given.training is not None
    return Rescored(given.candidates, _lowest(given), given.training)


STRATEGIES: dict[str, Strategy] = {
    "fixed": Strategy(_original, needs_candidates=False, needs_scores=False),
    "sapo": Strategy(_lowest, races=True),
    "sapo, rescore": Strategy(_lowest, races=True, wordings=_rescored),
    "sapo, top_k": Strategy(_lowest, wordings=_best_few),  # a race is exact about the first one alone
    "worst": Strategy(_highest),
    "random": Strategy(_any, needs_scores=False),
    "paft": Strategy(_original, needs_scores=False, wordings=_uniform),
    "paft, importance": Strategy(_original, wordings=_importance),
    "paft, adversarial": Strategy(_original, needs_scores=False, wordings=_adversarial),
    # The answers are rewritten under any strategy that the recipe asks it for (sapo_lite.learning.rewriting).
    "rewrite": Strategy(_original, needs_candidates=False, needs_scores=False),
}


def strategy_of(config: "PromptConfig") -> Strategy:
    """What the section `prompt` of a recipe comes to."""
    name: str = config.strategy
    if config.sampling != "uniform":
        name += f", {config.sampling}"
    elif config.rescore != "never":
        name += ", rescore"
    elif config.top_k > 1:
        name += ", top_k"
    return STRATEGIES[name]


def select(
    config: "PromptConfig",
    task: Task,
    candidates: Sequence[Candidate],
    scores: Sequence[CandidateLoss],
    *,
    seed: int,
    training: TrainingContext | None = None,
) -> Selection:
    """Apply the recipe's strategy to one task.

    `scores` may be empty where the strategy needs none, or where there is nothing to choose from.
    """
    strategy, wordings = strategy_of(config), None
    if len(candidates) == 1:
        chosen = candidates[0]
    else:
        given = StrategyInput(config, candidates, scores, f"{seed}/{task.id}", training)
        chosen = strategy.choose(given)
        wordings = strategy.wordings(given) if strategy.wordings else None
    rows = [TrainingRow(chosen.text, e.input, e.answer) for e in task.train]
    return Selection(TrainingSet(task, rows, wordings), chosen)
