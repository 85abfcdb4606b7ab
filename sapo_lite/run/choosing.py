"""First half of a training stage: choose the candidate of each task, and build its training set."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from sapo_lite.errors import RunFolderError
from sapo_lite.learning.rewriting import Rewriting, rewrite
from sapo_lite.prompts.choice import Choice, describe_choice
from sapo_lite.prompts.confidence import resolution
from sapo_lite.prompts.losses import CandidateLoss, scores_to_json
from sapo_lite.prompts.schedules import TrainingContext
from sapo_lite.prompts.scoring import measure
from sapo_lite.prompts.strategies import select, strategy_of
from sapo_lite.run import paths
from sapo_lite.run.context import RunContext
from sapo_lite.run.stage_folder import Stage
from sapo_lite.run.trained_task import TrainedTask
from sapo_lite.types import Candidate, Task, TrainingSet


def choose(
    context: RunContext, number: int, task: Task, stage: Stage, *, alone: bool, rank: int = 0, scored: Stage
) -> TrainedTask:
    """Choose the task's candidate in stage `number`, and build its training set.

    alone: whether the stage has this task only; in a stage of several tasks, each has files of its own
    rank: above 0, the candidate of this place by loss is taken instead of the strategy's
    scored: stage folder that keeps the losses of the candidates

    Raises:
        RunFolderError: the stage's files contradict each other.
    """
    recipe, own = context.recipe, partial(paths.of_task, task=None if alone else task.key)
    pool = context.candidates(task) if recipe.needs.choice else context.candidates(task)[:1]
    scores = _scores(context, number, task, pool, scored, own(paths.LOSSES))
    training = TrainingContext(
        record=stage.file(own(paths.WORDINGS)),
        rescore=lambda: _measure(context, number, task, pool, race=False),
        resolution=resolution(context.backbone),
        epochs=recipe.training.epochs,
        notify=lambda found: context.progress.notice(f"{task.name}, {found}"),
    )
    selection = select(
        recipe.prompt, task, pool, scores, seed=context.seed(number), training=training, rank=rank
    )
    if stage.done:
        choice = _recorded(stage, task, selection.chosen)
    else:
        choice = describe_choice(context.backbone, recipe.prompt.strategy, selection.chosen, scores)
    training_set, rewriting = _rewritten(context, number, selection.training_set, stage, own(paths.REWRITES))
    return TrainedTask(training_set, choice, selection.chosen, rewriting)


def _recorded(stage: Stage, task: Task, chosen: Candidate) -> Choice:
    """Read the choice that a finished stage has recorded.

    Raises:
        RunFolderError: the record has another candidate than the losses give.
    """
    choice = stage.record.choices.get(task.key)
    if choice is None or choice.chosen != chosen:
        found = "none" if choice is None else f"#{choice.chosen.index}"
        raise RunFolderError(
            f"{stage.path / paths.STAGE}: expected candidate #{chosen.index} as the choice of {task.name}, "
            f"found {found}. Put the file back, or delete {stage.path} and the folders of later stages to "
            "have them made again."
        )
    return choice


def _scores(
    context: RunContext, number: int, task: Task, pool: Sequence[Candidate], stage: Stage, name: str
) -> list[CandidateLoss]:
    """Losses of the candidates; empty if the strategy needs none, or there is one candidate only."""
    recipe = context.recipe
    if not recipe.needs.losses or len(pool) < 2:
        return []

    def measured() -> list[dict[str, Any]]:
        context.progress.stage(f"{context.heading(task)} · scoring {len(pool)} candidates")
        race = recipe.scoring.race and strategy_of(recipe.prompt.model_dump()).races
        return scores_to_json(_measure(context, number, task, pool, race=race))

    with context.usage.measure("score"):
        return stage.cached_as(list[CandidateLoss], name, measured)


def _measure(
    context: RunContext, number: int, task: Task, pool: Sequence[Candidate], *, race: bool
) -> list[CandidateLoss]:
    """Losses of all candidates, and their table once they are complete."""
    config = context.recipe.scoring
    scores = measure(
        context.backbone,
        task,
        pool,
        examples=config.score_examples,
        race=race,
        reduction=config.reduction,
        seed=context.seed(number),
        progress=context.progress,
    )
    context.progress.candidates(pool, scores, final=True)
    return scores


def _rewritten(
    context: RunContext, number: int, training_set: TrainingSet, stage: Stage, name: str
) -> tuple[TrainingSet, Rewriting | None]:
    """The training set with rewritten answers, if the recipe asks for rewriting."""
    if not context.recipe.rewrite.enabled:
        return training_set, None

    def made() -> dict[str, Any]:
        context.progress.stage(
            f"{context.heading(training_set.task)} · rewriting {len(training_set.rows)} answers"
        )
        seed, scratch = context.seed(number), stage.checkpoints
        found = rewrite(
            context.backbone,
            training_set,
            context.recipe,
            seed=seed,
            scratch=scratch,
            progress=context.progress,
        )
        return asdict(found)

    with context.usage.measure("rewrite"):
        rewriting = stage.cached_as(Rewriting, name, made)
    return replace(training_set, rows=rewriting.applied(training_set.rows)), rewriting
