"""First half of a training stage: choose the candidate of each task, and build its training set."""

from dataclasses import asdict, replace
from functools import partial
from typing import Any

from sapo_lite.errors import RunFolderError
from sapo_lite.learning.rewriting import Rewriting, rewrite
from sapo_lite.prompts.choice import Choice, describe_choice
from sapo_lite.prompts.confidence import resolution
from sapo_lite.prompts.schedules import TrainingContext
from sapo_lite.prompts.strategies import select
from sapo_lite.run import paths
from sapo_lite.run.context import RunContext
from sapo_lite.run.measuring import measure_losses, measured
from sapo_lite.run.stage_folder import Stage
from sapo_lite.run.trained_task import TrainedTask
from sapo_lite.types import Candidate, Task, TrainingSet


def choose(
    context: RunContext, number: int, task: Task, stage: Stage, *, alone: bool, rank: int = 0, scored: Stage
) -> TrainedTask:
    """Choose the task's candidate in stage `number`, and build its training set.

    alone: whether the stage has this task only; in a stage of several tasks, each has files of its own
    rank: above 0, the candidate of this place by loss is taken instead of the strategy's
    scored: stage folder that keeps the measurements of the candidates

    Raises:
        RunFolderError: the stage's files contradict each other.
    """
    recipe, own = context.recipe, partial(paths.of_task, task=None if alone else task.key)
    pool = context.candidates(task) if recipe.needs.choice else context.candidates(task)[:1]
    found = measured(context, number, task, scored, alone=alone)
    training = TrainingContext(
        record=stage.file(own(paths.WORDINGS)),
        place=stage.place_of(own(paths.WORDINGS)),
        rescore=lambda: measure_losses(context, number, task, pool, race=False),
        resolution=resolution(context.backbone),
        epochs=recipe.training.epochs,
        notify=lambda change: context.progress.notice(f"{task.name}, {change}"),
    )
    selection = select(
        recipe.prompt,
        task,
        pool,
        found.losses,
        found.values,
        seed=context.seed(number),
        training=training,
        rank=rank,
    )
    if stage.done:
        choice = _recorded(stage, task, selection.chosen)
    else:
        choice = describe_choice(context.backbone, recipe.prompt.strategy, selection.chosen, found.losses)
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
            f"found {found}. {stage.made_again}"
        )
    return choice


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
