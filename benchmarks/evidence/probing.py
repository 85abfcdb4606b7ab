"""Probes of a study: those of `sapo-lite probe`, in the states of the study's own runs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.evidence.items import Probe
from benchmarks.evidence.programme import Study
from sapo_lite.recipe import Recipe
from sapo_lite.report.plain import plain_file
from sapo_lite.run.workplan import Amount, Work
from sapo_lite.types import Candidate, Task, learned_tasks


def probe_work(probe: Probe, recipe: Recipe, tasks: Sequence[Task]) -> Work:
    """All work of a probe, if the run is there."""
    tasks = learned_tasks(tasks)
    task = tasks[probe.learned]
    candidates, rows = recipe.paraphrase.count + 1, len(task.train)
    trainings = candidates * probe.orders
    # With original and held-out wordings; the probed task with the candidate, too.
    answers = 2 * sum(len(other.test) for other in tasks) + len(task.test)
    scored = candidates * recipe.scoring.examples(rows)
    return Work(
        forwards=Amount(scored),
        steps=trainings * recipe.training.steps(rows),
        rows=trainings * rows * recipe.training.epochs,
        answers=Amount(trainings * answers + scored),
    )


def run_probe(study: Study, probe: Probe) -> dict[str, Any]:
    """Execute a probe, or go on with it. Returns the contents of its probe.json.

    Raises:
        SapoLiteError: as in `sapo-lite probe`.
    """
    from sapo_lite.probe.run import Measure, probe_run

    base, path = study.setup(probe.run), study.folder(probe)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.txt").open("a", encoding="utf-8", buffering=1) as shown:
        (results,) = probe_run(
            base.recipe,
            base.folder,
            {probe.learned: path},
            Measure(probe.orders, accuracy=True),
            watcher=_Unwatched(),
            progress=plain_file(shown),
            data=base.data,
        )
    return asdict(results)


class _Unwatched:
    """Takes the reports on trainings: a study has lines for whole probes only."""

    def started(self, state: object, candidate: Candidate, order: int) -> None:
        pass

    def finished(self, state: object, took: float) -> None:
        pass
