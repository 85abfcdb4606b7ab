"""Strategies: how the candidate that a task is trained with is chosen.

A strategy is a function and an entry in STRATEGIES that describes it in full. Recipes, plans, comparisons and
results read the entry. This module does not import torch, so a recipe is checked at once.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sapo_lite.prompts.indicators import INDICATORS, CandidateValue, Indicator, best_first, worst_first
from sapo_lite.prompts.losses import CandidateLoss, highest, lowest, ranked
from sapo_lite.prompts.schedules import Adversarial, RandomSchedule, Rescored, TrainingContext
from sapo_lite.prompts.strategy import Sizes, Strategy, StrategyInput, Variant
from sapo_lite.types import Candidate, Task, TrainingRow, TrainingSet

if TYPE_CHECKING:
    from sapo_lite.recipe import PromptConfig


@dataclass(frozen=True)
class Selection:
    """A strategy's decision: the training set of the task, and the candidate it is tested with."""

    training_set: TrainingSet
    chosen: Candidate


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
    """A schedule of all candidates with equal probabilities (PAFT)."""
    return RandomSchedule(given.texts, given.config.hold, given.seed)


def _importance(given: StrategyInput) -> RandomSchedule:
    """A schedule of candidates with probabilities proportional to exp(-loss / temperature).

    At temperature 1 the weight is the geometric mean of the model's probabilities of the answer tokens.
    Towards 0 it becomes SAPO, towards infinity PAFT.
    """
    losses = {score.index: score.loss for score in given.scores}
    least = min(losses.values())
    weights = [math.exp((least - losses[c.index]) / given.config.temperature) for c in given.candidates]
    return RandomSchedule(given.texts, given.config.hold, given.seed, tuple(weights))


def _best_few(given: StrategyInput) -> RandomSchedule:
    """A uniform schedule of the `top_k` candidates with the lowest losses, or of all if there are fewer."""
    best = sorted(score.index for score in ranked(given.scores)[: given.config.top_k])
    return RandomSchedule(tuple(given.texts[index] for index in best), given.config.hold, given.seed)


def _adversarial(given: StrategyInput) -> Adversarial:
    config = given.config
    return Adversarial(
        given.candidates,
        draws=config.draws,
        hold=config.hold,
        seed=given.seed,
        training=given.training,
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


def _by_indicator(*, worst: bool) -> tuple[Variant, ...]:
    """Variants that compare candidates by an indicator other than loss, and choose the best or the worst."""

    def variant(name: str, indicator: Indicator) -> Variant:
        order = worst_first if worst else best_first

        def first(given: StrategyInput) -> Candidate:
            return given.candidates[order(indicator, given.values)[0].index]

        description = f"the candidate with {indicator.worst if worst else indicator.best}"
        return Variant(
            "indicator", name, Strategy(description, first, needs_losses=False, indicator=indicator)
        )

    return tuple(variant(name, indicator) for name, indicator in INDICATORS.items())


def _one_to_eight(count: int) -> int:
    """PAFT's split: one held-out paraphrase for every eight to train with."""
    return math.ceil(count / 8)


_TOP_K = Strategy(
    "draws among the candidates of the lowest losses while training",
    _lowest,
    schedule=_best_few,  # no race: it is exact only about the first candidate
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
        settings=("top_k", "rescore", "indicator"),
        variants=(
            Variant("top_k", 2, _TOP_K),
            Variant("rescore", "epoch", _RESCORE),
            *_by_indicator(worst=False),
        ),
    ),
    "worst": Strategy(
        "the candidate of the highest pre-update loss",
        _highest,
        settings=("indicator",),
        variants=_by_indicator(worst=True),
    ),
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
    # [rewrite] works with any strategy (sapo_lite.learning.rewriting); this one switches it on by default.
    "rewrite": Strategy(
        "the original instruction, with training answers rewritten by the backbone",
        _original,
        needs_candidates=False,
        needs_losses=False,
        rewrites=True,
    ),
}


def variants() -> list[Variant]:
    """The variants of all strategies."""
    return [variant for strategy in STRATEGIES.values() for variant in strategy.variants]


def strategy_of(prompt: Mapping[str, Any]) -> Strategy:
    """The strategy, or its variant, that a section `prompt` selects."""
    strategy = STRATEGIES[prompt["strategy"]]
    return next((v.strategy for v in strategy.variants if v.asked_for(prompt)), strategy)


def select(
    config: "PromptConfig",
    task: Task,
    candidates: Sequence[Candidate],
    scores: Sequence[CandidateLoss],
    values: Sequence[CandidateValue] = (),
    *,
    seed: int,
    training: TrainingContext,
    rank: int = 0,
) -> Selection:
    """Apply the recipe's strategy to one task.

    `scores` and `values` may be empty if the strategy needs none, or if there is only one candidate. A
    `rank` above 0 takes the candidate of that place by loss, from 0, instead of the strategy's.
    """
    strategy, schedule = strategy_of(config.model_dump()), None
    if len(candidates) == 1:
        chosen = candidates[0]
    elif rank:
        chosen = candidates[ranked(scores)[rank].index]
    else:
        given = StrategyInput(config, candidates, scores, values, f"{seed}/{task.id}", training)
        chosen = strategy.choose(given)
        schedule = strategy.schedule(given) if strategy.schedule else None
    instructions = [chosen.text] * len(task.train)
    if isinstance(schedule, RandomSchedule) and config.hold_unit == "rows":
        instructions, schedule = schedule.on_rows(len(task.train)), None  # from here on, nothing varies
    rows = [TrainingRow(text, e.input, e.answer) for text, e in zip(instructions, task.train, strict=True)]
    return Selection(TrainingSet(task, rows, schedule), chosen)
