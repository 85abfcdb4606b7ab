"""What a finished run found: score matrices, continual-learning metrics, chosen wordings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from sapo_lite.evaluation.continual import FORMULAS, continual_metrics
from sapo_lite.evaluation.metrics import PUBLISHED_METRIC
from sapo_lite.evaluation.robustness import Robustness, averages
from sapo_lite.learning.methods import METHODS, name_of
from sapo_lite.learning.rewriting import Rewriting
from sapo_lite.prompts.confidence import Margin
from sapo_lite.prompts.pool import Pool
from sapo_lite.prompts.schedules import Rescoring
from sapo_lite.recipe import Recipe
from sapo_lite.run.trained_task import TrainedTask
from sapo_lite.types import Candidate, Task

# Scores of one stage: by kind of prompt ("chosen", "original"), by task in order, by metric, in percent.
StageScores = dict[str, list[dict[str, float]]]


def published_row(scores: StageScores) -> list[float]:
    """One row of R under the published metric and the first kind of prompt."""
    return [by_metric[PUBLISHED_METRIC] for by_metric in next(iter(scores.values()))]


@dataclass(frozen=True)
class AnswersRewritten:
    """What rewriting made of a task's training answers: shares of rows, and the mean rewards of the first and
    of the last quarter of the policy's steps (None without training).

    `changed` counts the rewritten rows whose rewrite is another text than the answer; `sample` is the
    first of them, as (answer, rewrite).
    """

    rewritten: float
    kept: float
    changed: float
    first_reward: float | None
    last_reward: float | None
    sample: tuple[str, str] | None


@dataclass(frozen=True)
class Results:
    """All that `results.json` holds. Depends on recipe, data and software only: no times in it.

    `matrices[kind][metric]` is R in percent: row 0 before any training, row i after `lessons[i - 1]`,
    which is a task, or "joint" for all at once; `metrics[kind][metric]` its AP, BWT, FWT. `chosen` has
    the tasks that were learned; `certainty` says what the lead of a chosen wording is worth, where
    candidates were scored. `rescorings` are those while training, by task; `chosen` is then what a task
    ended with, `certainty` that of what it began with. `rewriting` is there where answers were
    rewritten; there are metrics called `..._extracted` then, of what an answer finally says.
    `robustness` is that of the model at the end of the run; empty unless asked for.
    """

    recipe: str
    strategy: str
    adapter: str
    seed: int
    tasks: list[str]
    lessons: list[str]
    chosen: dict[str, Candidate]
    certainty: dict[str, Margin | None]
    rescorings: dict[str, list[Rescoring]]
    matrices: dict[str, dict[str, list[list[float]]]]
    metrics: dict[str, dict[str, dict[str, float | None]]]
    formulas: dict[str, str]
    robustness: dict[str, Robustness | None]
    robustness_averages: dict[str, float]
    rewriting: dict[str, AnswersRewritten]
    notices: list[str]


def collect(
    recipe: Recipe,
    tasks: Sequence[Task],
    pools: Mapping[str, Pool],
    learned: Mapping[str, TrainedTask],
    stages: Sequence[StageScores],
    robustness: dict[str, Robustness | None],
) -> Results:
    """Results from the scores of all stages, zero-shot first; `pools` and what was `learned` by task id."""
    found = {task.key: learned[task.id] for task in tasks if task.id in learned}
    matrices = {
        kind: {
            metric: [[scores[metric] for scores in stage[kind]] for stage in stages] for metric in first[0]
        }
        for kind, first in stages[0].items()
    }
    rewritings = {task: one.rewriting for task, one in found.items() if one.rewriting}
    return Results(
        recipe=recipe.name,
        strategy=recipe.prompt.strategy,
        adapter=recipe.adapter.method,
        seed=recipe.seed,
        tasks=[task.key for task in tasks],
        lessons=[name_of(lesson) for lesson in METHODS[recipe.adapter.method].lessons(tasks)],
        chosen={task: one.prompt for task, one in found.items()},
        certainty={task: one.choice.certainty for task, one in found.items()},
        rescorings={task: list(one.rescorings) for task, one in found.items() if one.rescorings},
        matrices=matrices,
        metrics={
            kind: {metric: asdict(continual_metrics(r)) for metric, r in by_metric.items()}
            for kind, by_metric in matrices.items()
        },
        formulas=FORMULAS,
        robustness=robustness,
        robustness_averages=averages(robustness),
        notices=[
            *recipe.notices,
            *stand_ins(tasks),
            *(pool.notice for pool in pools.values() if pool.notice),
            *(rewriting.notice for rewriting in rewritings.values() if rewriting.notice),
        ],
        rewriting={task: _summed_up(rewriting) for task, rewriting in rewritings.items()},
    )


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
    """A sentence for every task that was not trained on its own train file."""
    return [
        f"{task.name} trains on its dev file, which stands in for the missing train file"
        for task in tasks
        if task.train_split == "dev"
    ]
