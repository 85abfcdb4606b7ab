"""Assembles the results of a run from its stages."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from sapo_lite.data.check.finding import Finding
from sapo_lite.evaluation.continual import FORMULAS, IN_TASK, RETENTION
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.evaluation.own_metrics import shown_name
from sapo_lite.evaluation.robustness import Robustness, averages
from sapo_lite.learning.methods import METHODS, group_name
from sapo_lite.learning.rewriting import Rewriting
from sapo_lite.prompts.pool import Pool
from sapo_lite.recipe import Recipe
from sapo_lite.run.guard import statements
from sapo_lite.run.results import AnswersRewritten, GuardEvent, Results, WatchedScores
from sapo_lite.run.stage_folder import StageRecord, StageScores, Update
from sapo_lite.run.trained_task import TrainedTask
from sapo_lite.run.wordings import metrics_by_kind, retention_by_kind, wordings_of
from sapo_lite.types import Task


def task_row(scores: StageScores) -> list[float]:
    """One row of R, in percent, for each task's own metric and the first kind of prompt."""
    return [by_metric[TASK_METRIC] for by_metric in next(iter(scores.values()))]


def collect(
    recipe: Recipe,
    tasks: Sequence[Task],
    pools: Mapping[str, Pool],
    learned: Mapping[str, TrainedTask],
    records: Sequence[StageRecord],
    robustness: dict[str, Robustness | None],
    findings: Sequence[Finding],
    guard: Sequence[GuardEvent] = (),
    notices: Sequence[str] = (),
) -> Results:
    """Assemble the results of a run.

    pools, learned: by task id
    records: of all stages, zero-shot first
    robustness: by task key
    notices: sentences of this run, after those of the recipe and before those of its stages
    """
    keys = [task.key for task in tasks]
    found = {task.key: learned[task.id] for task in tasks if task.id in learned}
    matrices = _matrices([record.scores for record in records])
    rewritings = {task: one.rewriting for task, one in found.items() if one.rewriting}
    return Results(
        recipe=recipe.name,
        strategy=recipe.prompt.strategy,
        adapter=recipe.adapter.method,
        seed=recipe.seed,
        tasks=keys,
        task_metrics={task.key: shown_name(task.metric) for task in tasks},
        lessons=[group_name(group) for group in METHODS[recipe.adapter.method].groups(tasks)],
        chosen={task: one.prompt for task, one in found.items()},
        certainty={task: one.choice.certainty for task, one in found.items()},
        rescorings={task: list(one.rescorings) for task, one in found.items() if one.rescorings},
        matrices=matrices,
        metrics=metrics_by_kind(matrices, records, keys),
        wordings=wordings_of(records, keys) if recipe.evaluation.matrix else {},
        retention=retention_by_kind(matrices, records, keys),
        formulas={**FORMULAS, "in-task": IN_TASK, "retention": RETENTION},
        robustness=robustness,
        robustness_averages=averages(robustness),
        watched=watched_scores(records),
        guard=list(guard),
        updates=_updates(recipe, tasks, records),
        notices=[
            *recipe.notices,
            *stand_ins(tasks),
            *notices,
            *(pool.notice for pool in pools.values() if pool.notice),
            *(rewriting.notice for rewriting in rewritings.values() if rewriting.notice),
            *statements(guard),
        ],
        rewriting={task: _summed_up(rewriting) for task, rewriting in rewritings.items()},
        findings=list(findings),
    )


def _updates(recipe: Recipe, tasks: Sequence[Task], records: Sequence[StageRecord]) -> dict[str, Update]:
    """Update sizes by lesson; stages that an earlier version finished have none."""
    lessons = map(group_name, METHODS[recipe.adapter.method].groups(tasks))
    found = zip(lessons, records[1:], strict=True)
    return {lesson: record.update for lesson, record in found if record.update is not None}


def _matrices(stages: Sequence[StageScores]) -> dict[str, dict[str, list[list[float]]]]:
    """R by kind of prompt, then by metric."""
    return {
        kind: {
            metric: [[scores[metric] for scores in stage[kind]] for stage in stages] for metric in first[0]
        }
        for kind, first in stages[0].items()
    }


def watched_scores(records: Sequence[StageRecord]) -> dict[str, WatchedScores]:
    """Scores of what is watched, by name, over the stages so far."""
    found = {}
    for name, first in records[0].watched.items():
        of_stages = [record.watched[name] for record in records]
        scores = [one.score for one in of_stages]
        drops = [first.score - score for score in scores[1:]]
        parts = {part: [one.parts[part] for one in of_stages] for part in first.parts}
        found[name] = WatchedScores(first.metric, scores, drops, parts)
    return found


def _summed_up(found: Rewriting) -> AnswersRewritten:
    taken = [(row.answer, row.rewrite) for row in found.rows if row.rewrite is not None]
    changed = [(answer, rewrite) for answer, rewrite in taken if rewrite != answer]
    total, rewards = len(found.rows), found.policy_rewards
    quarter = math.ceil(len(rewards) / 4)
    return AnswersRewritten(
        rewritten=len(taken) / total,
        kept=(total - len(taken)) / total,
        changed=len(changed) / total,
        first_reward=fmean(rewards[:quarter]) if rewards else None,
        last_reward=fmean(rewards[-quarter:]) if rewards else None,
        sample=changed[0] if changed else None,
    )


def stand_ins(tasks: Sequence[Task]) -> list[str]:
    """A sentence for every task that trains on dev.json."""
    return [
        f"{task.name} trains on dev.json, which stands in for its missing train.json"
        for task in tasks
        if task.train_split == "dev"
    ]
