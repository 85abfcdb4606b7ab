"""The test at the end of every stage: all tasks, with the kinds of prompt that the recipe asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sapo_lite.errors import RunFolderError
from sapo_lite.evaluation.evaluate import evaluate
from sapo_lite.evaluation.final_answers import extracted_scores
from sapo_lite.evaluation.rows import Evaluation
from sapo_lite.learning.methods import TaskGroup
from sapo_lite.run import paths
from sapo_lite.run.context import RunContext
from sapo_lite.run.stage_folder import MatrixScores, Stage, StageRecord
from sapo_lite.run.stages import update_of
from sapo_lite.run.trained_task import TrainedTask
from sapo_lite.run.watching import test_watched
from sapo_lite.support.progress import Meter
from sapo_lite.types import Task


def finish_stage(
    context: RunContext,
    tasks: Sequence[Task],
    learned: Mapping[str, TrainedTask],
    stage: Stage,
    group: TaskGroup = (),
) -> StageRecord:
    """Test all tasks, and write the stage's record: scores, and the choices for the tasks of `group`.

    For a finished stage, the record is read instead.

    tasks: those that the run learns; what is watched is tested too

    learned: tasks trained so far, by task id

    Raises:
        RunFolderError: the record is damaged, or has other kinds of prompt or another number of tasks.
    """
    kinds = {task.key: _kinds(context, task, tasks, learned, group) for task in tasks}
    if stage.done:
        return _checked(stage.record, context, kinds, stage)
    choices = {task.key: learned[task.id].choice for task in group}
    scores = _scores(context, tasks, learned, stage, kinds)
    watched = test_watched(context.watched, stage, context.usage, context.progress)
    every = context.recipe.evaluation.kinds
    return stage.finish(
        StageRecord(
            choices,
            {kind: list(scores[kind].values()) for kind in every},
            watched,
            update_of(context, stage) if group else None,
            {kind: by_task for kind, by_task in scores.items() if kind not in every},
        )
    )


def _kinds(
    context: RunContext,
    task: Task,
    tasks: Sequence[Task],
    learned: Mapping[str, TrainedTask],
    group: TaskGroup,
) -> tuple[str, ...]:
    """Kinds of prompt to test a task with: all of the matrix if it, or the last task, was just learned."""
    just_learned = any(task.id == other.id for other in group)
    matrix = just_learned or all(other.id in learned for other in tasks)
    return context.recipe.test_kinds if matrix else context.recipe.evaluation.kinds


def _checked(
    record: StageRecord, context: RunContext, kinds: Mapping[str, Sequence[str]], stage: Stage
) -> StageRecord:
    every = context.recipe.evaluation.kinds
    expected = {kind: len(kinds) for kind in every}
    for kind in (kind for own in kinds.values() for kind in own if kind not in every):
        expected[kind] = expected.get(kind, 0) + 1
    if (found := {kind: len(rows) for kind, rows in (record.scores | record.wordings).items()}) != expected:
        raise RunFolderError(
            f"{stage.path / paths.STAGE}: expected so many scores by kind of prompt: {expected}, found "
            f"{found}. Delete the file to have the stage tested again."
        )
    if list(record.watched) != list(context.watched):
        raise RunFolderError(
            f"{stage.path / paths.STAGE}: expected scores of what is watched ({', '.join(context.watched)}), "
            f"found {', '.join(record.watched) or 'none'}. Delete the file to have the stage tested again."
        )
    return record


def _scores(
    context: RunContext,
    tasks: Sequence[Task],
    learned: Mapping[str, TrainedTask],
    stage: Stage,
    kinds: Mapping[str, Sequence[str]],
) -> MatrixScores:
    """Scores by kind of prompt, by task key, by metric.

    kinds: of prompts, by task key
    """
    context.progress.stage(f"testing after {len(learned)} of {len(tasks)} tasks")
    todo = [(t, {kind: _prompts(context, t, learned, kind) for kind in kinds[t.key]}) for t in tasks]
    answers = sum(len(task.test) * len(set(by_kind.values())) for task, by_kind in todo)
    scores: MatrixScores = {}
    with context.usage.measure("evaluate"), context.progress.work("testing", answers, "answers") as meter:
        for task, by_kind in todo:
            # Kinds with equal prompts share one file of answers, that of the first kind.
            names: dict[tuple[str, ...], str] = {(task.instruction,): "original"}
            for kind, prompts in by_kind.items():
                name = names.setdefault(prompts, kind)
                found = _mean_scores(context, task, name, prompts, stage, meter)
                scores.setdefault(kind, {})[task.key] = found
    return scores


def _mean_scores(
    context: RunContext, task: Task, name: str, prompts: Sequence[str], stage: Stage, meter: Meter
) -> dict[str, float]:
    """Mean scores of one task, its test examples taking the prompts in turn; answers are cached too."""

    def answer() -> dict[str, Any]:
        def report(count: int) -> None:
            meter.advance(count, task.name)

        asked = context.others[task.key] if name == "other" else task
        found = evaluate(context.backbone, asked, prompts, context.recipe.evaluation, report)
        if context.recipe.rewrite.enabled:
            answers = [row.answer for row in found.rows]
            found.scores.update(extracted_scores(task, answers, context.recipe.evaluation.exact_match))
        return asdict(found)

    return stage.cached_as(Evaluation, paths.predictions(task.key, name), answer).scores


def _prompts(
    context: RunContext, task: Task, learned: Mapping[str, TrainedTask], kind: str
) -> tuple[str, ...]:
    """Prompts to test a task with; the original instruction if the task has none of this kind."""
    if kind == "chosen" and task.id in learned:
        return (learned[task.id].prompt.text,)
    if kind == "unseen" and (held_out := context.held_out(task)):
        return tuple(candidate.text for candidate in held_out)
    if kind == "other":
        return (context.others[task.key].instruction,)
    return (task.instruction,)
