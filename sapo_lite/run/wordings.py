"""The test matrix of a run: scores of learned tasks right after learning and at the end, by kind of prompt.

Kinds that are tested at every stage have whole matrices R. Those of evaluation.matrix alone have two scores
of each task.
"""

from collections.abc import Mapping, Sequence

from sapo_lite.evaluation.continual import (
    ContinualMetrics,
    Retention,
    continual_metrics,
    retention,
    retention_of,
)
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.run.results import Wording
from sapo_lite.run.stage_folder import StageRecord

# By kind of prompt, then by metric.
Matrices = Mapping[str, Mapping[str, Sequence[Sequence[float]]]]


def wordings_of(records: Sequence[StageRecord], tasks: Sequence[str]) -> dict[str, dict[str, Wording]]:
    """Each task's own metric: of all kinds of prompt, those that are tested at every stage first.

    records: of all stages, zero-shot first
    tasks: keys of all tasks

    Empty if nothing was learned.
    """
    learned_in = {key: record for record in records for key in record.choices}
    kinds = [*records[-1].scores, *records[-1].wordings] if learned_in else []

    def score(record: StageRecord, kind: str, number: int, task: str) -> float:
        by_metric = record.scores[kind][number] if kind in record.scores else record.wordings[kind][task]
        return by_metric[TASK_METRIC]

    return {
        kind: {
            task: Wording(
                learned=score(learned_in[task], kind, number, task),
                end=score(records[-1], kind, number, task),
            )
            for number, task in enumerate(tasks)
        }
        for kind in kinds
    }


def retention_by_kind(
    matrices: Matrices, records: Sequence[StageRecord], tasks: Sequence[str]
) -> dict[str, dict[str, Retention]]:
    """Retention by kind of prompt, then by metric."""
    found = {kind: {m: retention_of(r) for m, r in by_metric.items()} for kind, by_metric in matrices.items()}
    learned_in = {key: record for record in records for key in record.choices}
    for kind, end in records[-1].wordings.items():
        found[kind] = {}
        for metric in end[tasks[0]]:
            before = [learned_in[task].wordings[kind][task][metric] for task in tasks]
            after = [end[task][metric] for task in tasks]
            in_sequence = len(records) == len(tasks) + 1
            found[kind][metric] = retention(before, after) if in_sequence else Retention(None, None)
    return found


def metrics_by_kind(
    matrices: Matrices, records: Sequence[StageRecord], tasks: Sequence[str]
) -> dict[str, dict[str, ContinualMetrics]]:
    """AP, BWT and FWT by kind of prompt, then by metric: AP alone of kinds not tested at every stage."""
    found = {
        kind: {metric: continual_metrics(r) for metric, r in by_metric.items()}
        for kind, by_metric in matrices.items()
    }
    for kind, end in records[-1].wordings.items():
        found[kind] = {
            metric: ContinualMetrics(sum(end[t][metric] for t in tasks) / len(tasks), bwt=None, fwt=None)
            for metric in end[tasks[0]]
        }
    return found
