"""What a finished run found: score matrices, continual-learning metrics, chosen wordings."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sapo_lite.certainty import Certainty
from sapo_lite.choice import Choice
from sapo_lite.evaluation import METRICS, PUBLISHED_METRIC
from sapo_lite.metrics import FORMULAS, continual_metrics
from sapo_lite.paraphrase import Pool
from sapo_lite.recipe import Recipe
from sapo_lite.types import Candidate, Task

# Scores of one stage: by kind of prompt ("chosen", "original"), by task in order, by metric, in percent.
StageScores = dict[str, list[dict[str, float]]]


def published_row(scores: StageScores) -> list[float]:
    """One row of R under the published metric and the first kind of prompt."""
    return [by_metric[PUBLISHED_METRIC] for by_metric in next(iter(scores.values()))]


@dataclass(frozen=True)
class Results:
    """All that `results.json` holds. Depends on recipe, data and software only: no times in it.

    `matrices[kind][metric]` is R in percent, N+1 rows of N; `metrics[kind][metric]` its AP, BWT, FWT.
    `certainty` says what the lead of a chosen wording is worth, where candidates were scored.
    """

    recipe: str
    strategy: str
    adapter: str
    seed: int
    tasks: list[str]
    chosen: dict[str, Candidate]
    certainty: dict[str, Certainty | None]
    matrices: dict[str, dict[str, list[list[float]]]]
    metrics: dict[str, dict[str, dict[str, float | None]]]
    formulas: dict[str, str]
    notices: list[str]


def collect(
    recipe: Recipe,
    tasks: Sequence[Task],
    pools: Sequence[Pool],
    choices: Mapping[str, Choice],
    stages: Sequence[StageScores],
) -> Results:
    """Results of a sequence from the scores of its N+1 stages, zero-shot first."""
    matrices = {
        kind: {metric: [[scores[metric] for scores in stage[kind]] for stage in stages] for metric in METRICS}
        for kind in stages[0]
    }
    return Results(
        recipe=recipe.name,
        strategy=recipe.prompt.strategy,
        adapter=recipe.adapter.method,
        seed=recipe.seed,
        tasks=[task.short_id for task in tasks],
        chosen={task.short_id: choices[task.id].chosen for task in tasks if task.id in choices},
        certainty={task.short_id: choices[task.id].certainty for task in tasks if task.id in choices},
        matrices=matrices,
        metrics={
            kind: {metric: asdict(continual_metrics(r)) for metric, r in by_metric.items()}
            for kind, by_metric in matrices.items()
        },
        formulas=FORMULAS,
        notices=[*stand_ins(tasks), *(pool.notice for pool in pools if pool.notice)],
    )


def stand_ins(tasks: Sequence[Task]) -> list[str]:
    """A sentence for every task that was not trained on its own train.json."""
    return [
        f"{task.short_id} trains on dev.json, which stands in for its missing train.json"
        for task in tasks
        if task.train_split == "dev"
    ]
