"""A run as tables of pandas, for notebooks and own plots. pandas is imported at the first use."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapo_lite.evaluation.rows import Row
from sapo_lite.prompts.losses import comparable_loss, ranked
from sapo_lite.run.history import HistoryStep
from sapo_lite.run.read_candidates import read_candidates, read_losses
from sapo_lite.run.read_run import StageRead, read_stages
from sapo_lite.run.results import Results, read_results

if TYPE_CHECKING:
    from pandas import DataFrame


# Columns, so that tables without rows have them, too.
_PLACE = ["stage", "after"]
_ROWS = [*_PLACE, "task", "kind", "row", *(field.name for field in fields(Row))]
_CANDIDATES = ["task", "index", "origin", "text", "chosen", "rank", "loss", "examples"]
_STEPS = [*_PLACE, *(field.name for field in fields(HistoryStep))]


@dataclass(frozen=True)
class Frames:
    """A finished run as tables.

    scores: a row for each score in percent: stage, after, task, kind (of prompt), metric, score
    metrics: AP, BWT, FWT, in-task and retention in percent: kind, metric, name, value
    rows: every answer to a test row: stage, after, task, kind, row, input, reference, answer, score; kind is
        None for what is watched
    candidates: every wording, the best first: task, index, origin, text, chosen, rank, loss, examples. The
        loss, in nats per answer token, is that on the examples of the best, an estimate if the race
        dropped the candidate (`examples` are fewer); it is missing if candidates were not scored
    steps: every optimiser step of the trainings: stage, after, step, loss, penalty, lr, ...

    `after` is what was trained last: "nothing" in stage 0.
    """

    scores: "DataFrame"
    metrics: "DataFrame"
    rows: "DataFrame"
    candidates: "DataFrame"
    steps: "DataFrame"


def read_frames(run: Path | str) -> Frames:
    """Read a finished run as tables of pandas.

    Raises:
        RunFolderError: the folder holds no finished run, or a file is damaged.
    """
    from pandas import DataFrame

    run = Path(run)
    results, stages = read_results(run), read_stages(run)
    return Frames(
        scores=results.to_pandas(),
        metrics=DataFrame(_metrics(results), columns=["kind", "metric", "name", "value"]),
        rows=DataFrame(_answers(results, stages), columns=_ROWS),
        candidates=DataFrame(_candidates(run, results, stages), columns=_CANDIDATES),
        steps=DataFrame(_steps(stages), columns=_STEPS),
    )


def _metrics(results: Results) -> list[tuple[str, str, str, float | None]]:
    return [
        (kind, metric, name, results.value(kind, metric, name))
        for kind, by_metric in results.metrics.items()
        for metric in by_metric
        for name in results.formulas
    ]


def _answers(results: Results, stages: list[StageRead]) -> list[dict[str, Any]]:
    kinds = [kind for stage in stages[:1] if stage.record for kind in stage.record.scores]
    asked: list[tuple[str, str | None]] = [(task, kind) for kind in kinds for task in results.tasks]
    asked += [(name, None) for name in results.watched]
    return [
        {**_place(stage), "task": task, "kind": kind, "row": number, **asdict(row)}
        for stage in stages
        for task, kind in asked
        for number, row in enumerate(stage.rows(task, kind), start=1)
    ]


def _candidates(run: Path, results: Results, stages: list[StageRead]) -> list[dict[str, Any]]:
    found = []
    for task, chosen in results.chosen.items():
        order = ranked(scores) if (scores := read_losses(run, task, stages)) else []
        losses = {
            score.index: {
                "rank": rank,
                "loss": comparable_loss(score, order[0]),
                "examples": len(score.examples),
            }
            for rank, score in enumerate(order, start=1)
        }
        pool = [
            {"task": task, **asdict(one), "chosen": one.index == chosen.index, **losses.get(one.index, {})}
            for one in read_candidates(run, task) or [chosen]
        ]
        found += sorted(pool, key=lambda one: one.get("rank", len(pool)))
    return found


def _steps(stages: list[StageRead]) -> list[dict[str, Any]]:
    return [{**_place(stage), **step} for stage in stages for step in stage.history]


def _place(stage: StageRead) -> dict[str, Any]:
    return {"stage": stage.number, "after": stage.name if stage.number else "nothing"}
