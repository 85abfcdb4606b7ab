"""Training stages of a run. Each has a folder and resumes from its files.

The zero-shot stage only tests all tasks. A training stage chooses prompts for its tasks, trains on them, and
tests all tasks again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sapo_lite.learning.adapters.replay import replay
from sapo_lite.learning.gradient import joint_gradient_norm
from sapo_lite.learning.methods import METHODS, TaskGroup
from sapo_lite.learning.steps import Step
from sapo_lite.learning.trainer import train
from sapo_lite.run import paths
from sapo_lite.run.choosing import choose
from sapo_lite.run.context import RunContext
from sapo_lite.run.history import History
from sapo_lite.run.stage_folder import Stage, Update
from sapo_lite.run.trained_task import TrainedTask
from sapo_lite.types import TrainingSet


@dataclass(frozen=True)
class Way:
    """A way to learn a stage; the default is the recipe's own.

    rank: above 0, the candidate of this place by loss is taken instead of the strategy's
    replay: whether rows of earlier tasks are mixed in, whatever the adapter's method
    """

    rank: int = 0
    replay: bool = False


AS_ASKED = Way()


def learn(
    context: RunContext,
    number: int,
    group: TaskGroup,
    past: Mapping[str, TrainedTask],
    stage: Stage,
    way: Way = AS_ASKED,
    scored: Stage | None = None,
) -> dict[str, TrainedTask]:
    """Choose a prompt for each task of the group, and train on them.

    number: of the stage, from 1
    past: trained tasks of earlier stages, by task id
    scored: stage folder that keeps the losses of the candidates; by default `stage`

    Returns the trained tasks of this stage, by task id.
    """
    alone, adapter = len(group) == 1, context.adapter
    learned = {
        task.id: choose(context, number, task, stage, alone=alone, rank=way.rank, scored=scored or stage)
        for task in group
    }
    adapter.open_block(number - 1, seed=context.seed(number))
    if stage.adapter.exists():
        adapter.load(stage.adapter)
        return {task: found.after_training() for task, found in learned.items()}
    with context.usage.measure("train"):
        new, seen = ([found.training_set for found in tasks.values()] for tasks in (learned, past))
        mixed_in = replay if way.replay else METHODS[context.recipe.adapter.method].replay_rows
        old = mixed_in(context.backbone, context.recipe.adapter, seen, new, context.seed(number))
        if context.recipe.training.gradient_norm:
            _measure_gradient(context, group, new, stage)
        _train(context, number, group, new, old, stage)
        learned = {task: found.after_training() for task, found in learned.items()}
        if adapter.after_task is not None:
            adapter.after_task([found.training_set for found in learned.values()], context.progress)
        stage.keep_adapter(adapter.save)
    return learned


def _measure_gradient(context: RunContext, group: TaskGroup, new: list[TrainingSet], stage: Stage) -> None:
    """Measure the gradient's norm on all new rows, once: a training that resumes has left step 0."""
    rows, config = sum(len(one.rows) for one in new), context.recipe.training

    def measured() -> float:
        context.progress.stage(f"{_heading(context, group)} · measuring the gradient on {rows} examples")
        return joint_gradient_norm(context.backbone, context.adapter, new, config.micro_batch_size)

    stage.cached(paths.GRADIENT, measured)


def update_of(context: RunContext, stage: Stage) -> Update:
    """Size of what the training of a stage has changed, right after it."""
    gradient = None
    if context.recipe.training.gradient_norm:
        gradient = stage.read(float, paths.GRADIENT, stage.made_again)
    return Update(gradient, context.adapter.update_norm(), context.adapter.update_norms())


def _heading(context: RunContext, group: TaskGroup) -> str:
    return context.heading(group[0]) if len(group) == 1 else f"all {len(group)} tasks"


def _train(
    context: RunContext,
    number: int,
    group: TaskGroup,
    new: list[TrainingSet],
    old: list[TrainingSet],
    stage: Stage,
) -> None:
    """Train on the `new` training sets of the group's tasks, and on replayed rows of `old` tasks."""
    rows = sum(len(one.rows) for one in [*new, *old])
    heading = _heading(context, group)
    again = "".join(f", {len(one.rows)} of them of {one.task.name}" for one in old)
    context.progress.stage(f"{heading} · training on {rows} examples{again}")
    with context.progress.work("training", context.recipe.training.steps(rows), "steps") as meter:
        reached, history = 0, History(stage.path)

        def report(step: Step) -> None:
            nonlocal reached
            penalty = f" + penalty {step.penalty:.3f}" if step.penalty else ""
            meter.advance(step.number - reached, f"loss {step.loss:.3f}{penalty}")
            reached = step.number
            history.add(step)

        part = stage.path.relative_to(stage.path.parents[stage.path.name.startswith(paths.RETRY)])
        with context.tracking.training(part.as_posix()) as tracking:
            train(
                context.backbone,
                context.adapter,
                [*new, *old],
                context.recipe.training,
                checkpoints=stage.checkpoints,
                seed=context.seed(number),
                on_step=report,
                tracking=tracking,
            )
