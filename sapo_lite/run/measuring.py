"""Measurement of a task's candidates before the update: their losses, or another indicator.

With prompt.state "base", all tasks' candidates are measured before the first training, and kept in a folder
of the run; otherwise each task's candidates are measured in its stage, and kept there.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import fmean
from typing import Any

from sapo_lite.evaluation.metrics import row_scores
from sapo_lite.learning.methods import TaskGroup
from sapo_lite.model.generation import generate
from sapo_lite.prompts.indicators import CandidateValue, Indicator, Instruments
from sapo_lite.prompts.losses import CandidateLoss, scores_to_json
from sapo_lite.prompts.scoring import measure
from sapo_lite.prompts.strategies import strategy_of
from sapo_lite.run import paths
from sapo_lite.run.context import RunContext
from sapo_lite.run.stage_folder import Stage
from sapo_lite.types import Candidate, Task


@dataclass(frozen=True)
class Measured:
    """Losses of a task's candidates, or their values by another indicator.

    Both are empty if the strategy compares no candidates, or if there is only one.
    """

    losses: Sequence[CandidateLoss] = ()
    values: Sequence[CandidateValue] = ()


def measured_before_training(context: RunContext, groups: Sequence[TaskGroup], base: Stage) -> RunContext:
    """Measure the candidates of all tasks on the untrained backbone, for the recipe's state "base".

    groups: of the stages that train, in order
    base: keeps the measurements

    Returns the context in which the stages read them.
    """
    context = replace(context, base=base)
    for number, group in enumerate(groups, start=1):
        for task in group:
            measured(context, number, task, base, alone=False)
    return context


def measured(context: RunContext, number: int, task: Task, stage: Stage, *, alone: bool) -> Measured:
    """Measurements of the candidates of a task that is learned in stage `number`; kept ones are read.

    stage: keeps them, unless the recipe's state is "base"
    alone: whether that stage has this task only; in a stage of several tasks, each has files of its own
    """
    recipe, pool = context.recipe, context.candidates(task)
    strategy = strategy_of(recipe.prompt.model_dump())
    if not recipe.needs.choice or len(pool) < 2 or not strategy.compares:
        return Measured()
    own = partial(paths.of_task, task=None if alone and context.base is None else task.key)
    stage, indicator = context.base or stage, strategy.indicator
    with context.usage.measure("score"):
        if indicator is None:
            race = recipe.scoring.race and strategy.races
            losses = partial(_losses, context, number, task, pool, race=race)
            return Measured(losses=stage.cached_as(list[CandidateLoss], own(paths.LOSSES), losses))
        values = partial(_values, context, task, pool, indicator)
        return Measured(values=stage.cached_as(list[CandidateValue], own(paths.INDICATOR), values))


def _losses(
    context: RunContext, number: int, task: Task, pool: Sequence[Candidate], *, race: bool
) -> list[dict[str, Any]]:
    context.progress.stage(f"{context.heading(task)} · scoring {len(pool)} candidates")
    # So many tasks were learned before; an adapter of one block for all of them divides by nothing.
    learned = min(number - 1, context.adapter.blocks) if context.recipe.scoring.divided_scale else 0
    with context.adapter.scaled(1 / max(1, learned)):
        return scores_to_json(measure_losses(context, number, task, pool, race=race))


def measure_losses(
    context: RunContext, number: int, task: Task, pool: Sequence[Candidate], *, race: bool
) -> list[CandidateLoss]:
    """Losses of all candidates, and their table once they are complete."""
    config = context.recipe.scoring
    scores = measure(
        context.backbone,
        task,
        pool,
        examples=config.examples(len(task.train)),
        race=race,
        reduction=config.reduction,
        seed=context.seed(number),
        progress=context.progress,
    )
    context.progress.candidates(pool, scores, final=True)
    return scores


def _values(
    context: RunContext, task: Task, pool: Sequence[Candidate], indicator: Indicator
) -> list[dict[str, Any]]:
    """Values of all candidates by an indicator, and their table."""
    context.progress.stage(f"{context.heading(task)} · {indicator.name} of {len(pool)} candidates")
    instruments = Instruments(partial(_score, context, task), partial(_tokens, context))
    values = []
    with context.progress.work("measuring", len(pool), "candidates") as meter:
        for candidate in pool:
            values.append(CandidateValue(candidate.index, indicator.measure(instruments, candidate.text)))
            meter.advance()
    context.progress.indicated(pool, values, indicator)
    return [asdict(value) for value in values]


def _score(context: RunContext, task: Task, instruction: str) -> float:
    """Mean score of greedy answers to the scoring examples, in percent of the task's own metric."""
    few = replace(task, test=task.train[: context.recipe.scoring.examples(len(task.train))])
    config = context.recipe.evaluation
    prompts = context.backbone.chat.encode_prompts(few, instruction, [e.input for e in few.test])
    answers = generate(
        context.backbone, prompts, max_new_tokens=config.max_new_tokens, batch_size=config.batch_size
    )
    return fmean(row_scores(answers, few))


def _tokens(context: RunContext, instruction: str) -> int:
    return len(context.backbone.chat.encode_texts([instruction])[0])
