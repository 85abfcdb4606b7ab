"""The report of one finished run as a page."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.report.html.candidates import Scored, scored_candidates
from sapo_lite.report.html.changed import LONGEST, changed_by_stage
from sapo_lite.report.html.curves import task_curves, training_curves, watched_curves
from sapo_lite.report.html.page import page, write_page
from sapo_lite.report.measures import headings, measure
from sapo_lite.report.verdict import verdict
from sapo_lite.run import paths
from sapo_lite.run.binding import read_binding
from sapo_lite.run.folder import read_usage
from sapo_lite.run.read_run import StageRead, read_stages
from sapo_lite.run.results import Results, read_results
from sapo_lite.support.files import read_json

KINDS = {
    "chosen": "learned tasks asked with their chosen wording",
    "original": "all tasks asked with their original wording",
    "unseen": "all tasks asked with wordings held out from the choice",
    "other": "all tasks asked with the wordings that another run chose",
}


@dataclass(frozen=True)
class Cell:
    """A score in percent.

    share: of the full colour, in percent
    tone: on how much colour the text stands: "low", "middle" or "high"
    learned: whether the stage is the task's own
    """

    value: float
    share: int
    tone: str
    learned: bool


@dataclass(frozen=True)
class HeatMap:
    """R under one kind of prompt: rows by name, in the order of the stages."""

    kind: str
    meaning: str
    rows: list[tuple[str, list[Cell]]]


def run_page(run: Path) -> str:
    """The page of the finished run in a folder.

    Raises:
        RunFolderError: there is no finished run, or one of its files is damaged.
    """
    results, stages = read_results(run), read_stages(run)
    settings = read_binding(run).recipe
    usage = read_usage(run)
    environment = run / paths.ENVIRONMENT
    changed = changed_by_stage(stages, [*results.tasks, *results.watched])
    return page(
        "run.html",
        results=results,
        name=run.name,
        verdict=verdict(results),
        measure=measure(results.task_metrics.values()),
        headings=headings(results.task_metrics),
        maps=list(_heat_maps(results)),
        metrics=_metrics(results),
        curves=list(task_curves(results)),
        watched=list(watched_curves(results)),
        candidates=_candidates(run, results, stages),
        training=list(training_curves(stages)),
        penalised=any(step["penalty"] for stage in stages for step in stage.history),
        changed=changed,
        longest=LONGEST,
        stages=stages,
        kinds_of_work=list(dict.fromkeys(kind for stage in stages for kind in stage.seconds)),
        usage=usage,
        environment=read_json(environment) if environment.exists() else {},
        recipe=as_recipe(settings),
        command=f"sapo-lite run {shlex.quote(results.recipe)}.toml",
        diff=f"sapo-lite diff {shlex.quote(str(run))} --task TASK",
    )


def write_run_report(run: Path, out: Path | None = None) -> Path:
    """Write the report of a finished run, by default into its folder. Returns the path of the file."""
    return write_page(out or run / paths.REPORT, run_page(run))


def _heat_maps(results: Results) -> Iterator[HeatMap]:
    for kind, by_metric in results.matrices.items():
        rows = []
        for i, scores in enumerate(by_metric[TASK_METRIC]):
            name = f"{i} {results.lessons[i - 1]}" if i else "0 before any training"
            own = results.lessons[i - 1] if i else None
            cells = [_cell(s, own == task) for task, s in zip(results.tasks, scores, strict=True)]
            rows.append((name, cells))
        yield HeatMap(kind, KINDS[kind], rows)


def _cell(score: float, learned: bool) -> Cell:
    share = round(min(max(score, 0.0), 100.0))
    return Cell(score, share, "low" if share < 55 else "middle" if share < 75 else "high", learned)


def _metrics(results: Results) -> list[tuple[str, list[float | None], str]]:
    """Name, value by kind of prompt, and formula of each metric of the sequence."""
    return [
        (name, [results.value(kind, TASK_METRIC, name) for kind in results.metrics], formula)
        for name, formula in results.formulas.items()
    ]


def _candidates(run: Path, results: Results, stages: list[StageRead]) -> list[Scored]:
    found = (scored_candidates(run, results, task, stages) for task in results.chosen)
    return [one for one in found if one is not None]


def as_recipe(settings: dict[str, Any]) -> str:
    """The text of a recipe file with these settings.

    A recipe is named by its file. TOML has no None, which is the default of keys that can have it.
    """
    return tomlkit.dumps(_without_none({key: value for key, value in settings.items() if key != "name"}))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list) else value
