"""Finished run folders that nobody ran: settings, scores and usage as a test wants them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from kept import put
from sapo_lite.evaluation.continual import FORMULAS, IN_TASK, RETENTION, continual_metrics, retention_of
from sapo_lite.evaluation.rows import Evaluation, Row, WatchScores
from sapo_lite.prompts.choice import Choice
from sapo_lite.recipe import load_recipe
from sapo_lite.run import paths
from sapo_lite.run.binding import Binding, write_binding
from sapo_lite.run.history import HistoryStep
from sapo_lite.run.inputs import inputs_of
from sapo_lite.run.results import Results, write_results
from sapo_lite.run.stage_folder import Stage, StageRecord, Watched
from sapo_lite.types import Candidate

TASKS = ("stars", "mood")
Matrix = Sequence[Sequence[float]]


def two_tasks(ap: float, bwt: float = 0.0) -> list[list[float]]:
    """R of a run that ends at `ap`, with equal scores on both tasks and nothing before they are learned."""
    return [[0.0, 0.0], [ap - bwt, 0.0], [ap, ap]]


def made_run(
    path: Path,
    r: Matrix,
    *settings: str,
    strategy: str = "fixed",
    adapter: str = "lorainc",
    seed: int = 0,
    data: Mapping[str, str] | None = None,
    inputs: Mapping[str, Mapping[str, str]] | None = None,
    original: Matrix | None = None,
    seconds: float = 10.0,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """A run folder: `r` was found with chosen prompts, and `original`, or the same, with original ones."""
    tasks = f"sequence.tasks={json.dumps(TASKS)}"
    own = [f"seed={seed}", f"prompt.strategy={strategy}", f"adapter.method={adapter}"]
    recipe = load_recipe("lab", [tasks, *own, *settings])
    path.mkdir(parents=True)
    fingerprints = dict(data or dict.fromkeys(recipe.sequence.tasks, "data"))
    read = {what: dict(parts) for what, parts in (inputs or inputs_of(recipe)).items()}
    write_binding(path, Binding(recipe=recipe.resolved(), data=fingerprints, inputs=read))
    results = made_results({"chosen": r, "original": original or r}, strategy, adapter, seed)
    write_results(path, replace(results, **(more or {})))
    usage = {"seconds": {"train": seconds - 1, "load": 1.0}, "peak_memory_gb": {"cpu": 1.5}}
    put(path / "usage.json", usage)
    return path


def made_stages(run: Path, right: Mapping[str, Sequence[str]], under_way: bool = False) -> Path:
    """Stage folders with rows that nobody answered, in a run of `made_run`.

    right: by task, or by what is watched, a text such as "101" for every stage: rows with 1 are right
    under_way: whether the last stage has answers, but no record yet
    """
    folders = [paths.ZERO_SHOT, *(paths.stage(n, task) for n, task in enumerate(TASKS, start=1))]
    last = len(next(iter(right.values()))) - 1
    for number, folder in enumerate(folders[: last + 1]):
        stage = Stage(run / folder)
        rows = {name: made_rows(name, by_stage[number]) for name, by_stage in right.items()}
        means = {name: fmean(row.score for row in own) for name, own in rows.items()}
        for name, own in rows.items():
            scores = {"rougeL": means[name], "task_metric": means[name]}
            if name in TASKS:
                stage.write(paths.predictions(name, "original"), asdict(Evaluation(own, scores)))
            else:
                stage.write(paths.watched(name), asdict(WatchScores("accuracy", own, {})))
        if not (under_way and number == last):
            task = TASKS[number - 1]
            chosen = Choice("fixed", Candidate(0, f"judge {task}", "original"), *[None] * 7)
            stage.finish(
                StageRecord(
                    {task: chosen} if number else {},
                    {"original": [{"rougeL": means[task], "task_metric": means[task]} for task in TASKS]},
                    {name: Watched("accuracy", means[name], {}) for name in right if name not in TASKS},
                )
            )
    return run


def made_rows(name: str, right: str) -> list[Row]:
    """A row for each digit of `right`, answered "yes", which is right, for 1, and "no" for 0."""
    return [
        Row(f"{name} {number}", "yes", "yes" if digit == "1" else "no", 100.0 * (digit == "1"))
        for number, digit in enumerate(right, start=1)
    ]


def unfinished_run(path: Path, right: Mapping[str, Sequence[str]], under_way: bool = False) -> Path:
    """A run of TASKS without results."""
    metrics = {f"the metric of {task}": {"name": "rougeL"} for task in TASKS}
    run = made_stages(made_run(path, two_tasks(0.0), inputs=metrics), right, under_way)
    (run / paths.RESULTS).unlink()
    return run


def made_results(by_kind: Mapping[str, Matrix], strategy: str, adapter: str, seed: int) -> Results:
    """Results of which the matrices matter, and the metrics that follow from them."""
    matrices = {
        kind: {metric: [list(row) for row in r] for metric in ("rougeL", "task_metric")}
        for kind, r in by_kind.items()
    }
    return Results(
        recipe="lab",
        strategy=strategy,
        adapter=adapter,
        seed=seed,
        tasks=list(TASKS),
        task_metrics=dict.fromkeys(TASKS, "rougeL"),
        lessons=list(TASKS),
        chosen={},
        certainty={},
        rescorings={},
        matrices=matrices,
        metrics={
            kind: {metric: continual_metrics(r) for metric, r in by_metric.items()}
            for kind, by_metric in matrices.items()
        },
        retention={
            kind: {metric: retention_of(r) for metric, r in by_metric.items()}
            for kind, by_metric in matrices.items()
        },
        formulas={**FORMULAS, "in-task": IN_TASK, "retention": RETENTION},
        robustness={},
        robustness_averages={},
        rewriting={},
        notices=[],
    )


def made_runs(
    root: Path, by_way: Mapping[str, Sequence[float]], *settings: str, adapter: str = "lorainc"
) -> list[Path]:
    """Runs by strategy, one for each AP of its list, under the seeds 0, 1, 2, ..."""
    return [
        made_run(
            root / f"{strategy}-{adapter}-{seed}",
            two_tasks(ap, bwt=-1.0),
            *settings,
            strategy=strategy,
            adapter=adapter,
            seed=seed,
        )
        for strategy, scores in by_way.items()
        for seed, ap in enumerate(scores)
    ]


def history_line(step: int, steps: int, *, loss: float, penalty: float = 0.0) -> str:
    """A line of a stage's history.jsonl, of which step, loss and penalty matter."""
    line = HistoryStep(step, steps, loss, penalty, 1e-3, 1.0, 100.0, 0.5, 0.1)
    return json.dumps(asdict(line)) + "\n"
