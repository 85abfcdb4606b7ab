"""Finished run folders that nobody ran: settings, scores and usage as a test wants them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kept import put
from sapo_lite.evaluation.continual import FORMULAS, IN_TASK, RETENTION, continual_metrics, retention_of
from sapo_lite.recipe import load_recipe
from sapo_lite.run.binding import Binding, write_binding
from sapo_lite.run.inputs import inputs_of
from sapo_lite.run.results import Results, write_results

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
