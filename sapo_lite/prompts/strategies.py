"""Strategies: which candidate a task is trained with, and what that takes.

A strategy is a function and an entry in STRATEGIES that says everything about it. Recipes, plans, comparisons
and results ask the entry. Nothing here brings torch, so a recipe is checked at once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sapo_lite.prompts.schedules import PromptSchedule
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sapo_lite.prompts.losses import CandidateLoss, highest, lowest, ranked
from sapo_lite.prompts.schedules import Adversarial, PromptSchedule, RandomSchedule, Rescored, TrainingContext
from sapo_lite.types import Candidate, Task, TrainingRow, TrainingSet

if TYPE_CHECKING:
    from sapo_lite.recipe import PromptConfig


@dataclass(frozen=True)
class Selection:
    """What a strategy decided: what the task is trained on, and the wording it is tested with."""

    part: TrainingSet
    chosen: Candidate


@dataclass(frozen=True)
class StrategyInput:
    """What a strategy chooses by. `scores` is empty where it needs no losses.

    `training` is for schedules that ask the model while it is trained.
    """

    config: "PromptConfig"
    candidates: Sequence[Candidate]
    scores: Sequence[CandidateLoss]
    seed: str
    training: TrainingContext

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(candidate.text for candidate in self.candidates)


@dataclass(frozen=True)
class Sizes:
    """How large the training of one task is.

    rows: of the task; candidates: to choose from
    scored: examples that a candidate is scored on
    steps, epochs, batch_size: of its training, which may have rows of other tasks
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
    """How a task's prompt is chosen. What a strategy does not need is not done.

    description: what it does, in one sentence
    choose: gives the candidate that is on every row, and that the task is tested with
    needs_candidates: without, there are no paraphrases to choose from, and no model is asked for any
    needs_losses: pre-update losses of all candidates
    races: full losses of the lowest ones suffice (scoring.race)
    schedule: what the task is trained with instead; the candidate of `choose` is then for testing (and for
        the first epoch of `Rescored`)
    forwards_in_training: rows under candidates that such a schedule has scored during training, at most
    keeps_original: the candidate that it is tested with is always the original instruction
    held_out: of a number of candidates, the paraphrases that are held out by default
    rewrites: turns the section [rewrite] on
    settings: keys of the section `prompt` that no other strategy takes
    variants: what some of these settings turn it into
    """

    description: str
    choose: Callable[[StrategyInput], Candidate]
    needs_candidates: bool = True
    needs_losses: bool = True
    races: bool = False
    schedule: Callable[[StrategyInput], PromptSchedule] | None = None
    forwards_in_training: Callable[["PromptConfig", Sizes], int] = _none_in_training
    keeps_original: bool = False
    held_out: Callable[[int], int] = _none_held_out
    rewrites: bool = False
    settings: tuple[str, ...] = ()
    variants: "tuple[Variant, ...]" = ()


@dataclass(frozen=True)
class Variant:
    """The strategy that a setting of the section `prompt` asks for: by its value, a number also by any above.

    Its strategy has settings of its own, too: keys that only this value takes. What a recipe is filled in
    with (held_out, rewrites) is said in STRATEGIES alone.
    """

    setting: str
    value: str | int
    strategy: Strategy

    def asked_for(self, prompt: Mapping[str, Any]) -> bool:
        found = prompt[self.setting]
        return bool(found == self.value if isinstance(self.value, str) else found >= self.value)


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


def _uniform(given: StrategyInput) -> RandomSchedule:
    """Every candidate as likely as the others (PAFT)."""
    return RandomSchedule(given.texts, given.config.hold, given.seed)


def _importance(given: StrategyInput) -> RandomSchedule:
    """Candidates in proportion to exp(-loss / temperature): those that SAPO likes are likelier.

    At temperature 1 that is the geometric mean of the probabilities that the model gives to the answer
    tokens. Towards 0 it becomes SAPO, towards infinity PAFT.
    """
    losses = {score.index: score.loss for score in given.scores}
    least = min(losses.values())
    weights = [math.exp((least - losses[c.index]) / given.config.temperature) for c in given.candidates]
    return RandomSchedule(given.texts, given.config.hold, given.seed, tuple(weights))


def _best_few(given: StrategyInput) -> RandomSchedule:
    """The `top_k` candidates of the lowest losses, uniformly; all of them where there are fewer."""
    best = sorted(score.index for score in ranked(given.scores)[: given.config.top_k])
    return RandomSchedule(tuple(given.texts[index] for index in best), given.config.hold, given.seed)


def _adversarial(given: StrategyInput) -> Adversarial:
    config = given.config
    return Adversarial(
        given.candidates,
        draws=config.draws,
        hold=config.hold,
        seed=given.seed,
        record=given.training.record,
    )


def _drawn_in_training(config: "PromptConfig", sizes: Sizes) -> int:
    holds = math.ceil(sizes.steps / config.hold)
    # A hold scores the task's rows of one step; no row is in two steps of an epoch.
    rows = min(holds * min(sizes.rows, sizes.batch_size), sizes.epochs * sizes.rows)
    return min(config.draws, sizes.candidates) * rows


def _rescored(given: StrategyInput) -> Rescored:
    return Rescored(given.candidates, _lowest(given), given.training)


def _rescored_in_training(_config: "PromptConfig", sizes: Sizes) -> int:
    return (sizes.epochs - 1) * sizes.candidates * sizes.scored


def _one_to_eight(count: int) -> int:
    """PAFT's split: one paraphrase to test with for eight to train with."""
    return math.ceil(count / 8)


_TOP_K = Strategy(
    "draws among the candidates of the lowest losses while training",
    _lowest,
    schedule=_best_few,  # and no race, which is exact about the first one alone
)
_RESCORE = Strategy(
    "scores all candidates again when an epoch begins, and changes to a clearly better one",
    _lowest,
    races=True,
    schedule=_rescored,
    forwards_in_training=_rescored_in_training,
)
_IMPORTANCE = Strategy(
    "draws candidates by their pre-update losses while training",
    _original,
    schedule=_importance,
    keeps_original=True,
    settings=("temperature",),
)
_ADVERSARIAL = Strategy(
    "draws a few candidates at a time while training, and keeps the one of the highest loss",
    _original,
    needs_losses=False,
    schedule=_adversarial,
    forwards_in_training=_drawn_in_training,
    keeps_original=True,
    settings=("draws",),
)
STRATEGIES: dict[str, Strategy] = {
    "fixed": Strategy("the original instruction", _original, needs_candidates=False, needs_losses=False),
    "sapo": Strategy(
        "the candidate of the lowest pre-update loss",
        _lowest,
        races=True,
        settings=("top_k", "rescore"),
        variants=(Variant("top_k", 2, _TOP_K), Variant("rescore", "epoch", _RESCORE)),
    ),
    "worst": Strategy("the candidate of the highest pre-update loss", _highest),
    "random": Strategy("a candidate drawn by chance", _any, needs_losses=False),
    "paft": Strategy(
        "draws candidates uniformly while training",
        _original,
        needs_losses=False,
        schedule=_uniform,
        keeps_original=True,
        held_out=_one_to_eight,
        settings=("sampling",),
        variants=(
            Variant("sampling", "importance", _IMPORTANCE),
            Variant("sampling", "adversarial", _ADVERSARIAL),
        ),
    ),
    # The answers are rewritten under any strategy that the recipe asks it for (sapo_lite.learning.rewriting).
    "rewrite": Strategy(
        "the original instruction, with training answers rewritten by the backbone",
        _original,
        needs_candidates=False,
        needs_losses=False,
        rewrites=True,
    ),
}


def variants() -> list[Variant]:
    """Those of all strategies."""
    return [variant for strategy in STRATEGIES.values() for variant in strategy.variants]


def strategy_of(prompt: Mapping[str, Any]) -> Strategy:
    """The strategy, or the variant of it, that a section `prompt` asks for, with all its keys."""
    strategy = STRATEGIES[prompt["strategy"]]
    return next((v.strategy for v in strategy.variants if v.asked_for(prompt)), strategy)


def select(
    config: "PromptConfig",
    task: Task,
    candidates: Sequence[Candidate],
    scores: Sequence[CandidateLoss],
    *,
    seed: int,
    training: TrainingContext,
) -> Selection:
    """Apply the recipe's strategy to one task.

    `scores` may be empty where the strategy needs none, or where there is nothing to choose from.
    """
    strategy, schedule = strategy_of(config.model_dump()), None
    if len(candidates) == 1:
        chosen = candidates[0]
    else:
        given = StrategyInput(config, candidates, scores, f"{seed}/{task.id}", training)
        chosen = strategy.choose(given)
        schedule = strategy.schedule(given) if strategy.schedule else None
    rows = [TrainingRow(chosen.text, e.input, e.answer) for e in task.train]
    return Selection(TrainingSet(task, rows, schedule), chosen)
