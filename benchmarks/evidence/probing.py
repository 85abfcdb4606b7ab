"""Probes of a study: those of `sapo-lite probe`, in the states of the study's own runs."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from benchmarks.evidence.items import Probe
from benchmarks.evidence.programme import Study
from sapo_lite.recipe import Recipe
from sapo_lite.report.plain import plain_file
from sapo_lite.run.workplan import Amount, Work, plan_of
from sapo_lite.types import Candidate, Task, learned_tasks


def probe_work(probe: Probe, recipe: Recipe, tasks: Sequence[Task]) -> Work:
    """All work of a probe, if the run is there: the run's next stage, once for each candidate and order."""
    task = learned_tasks(tasks)[probe.learned]
    candidates, trainings = recipe.paraphrase.count + 1, (recipe.paraphrase.count + 1) * probe.orders
    scored = candidates * recipe.scoring.examples(len(task.train))
    # The plan of a run with the originals does not count a test with the candidate.
    more = Work(forwards=Amount(scored), answers=Amount(scored + trainings * len(task.test)))
    stage = replace(plan_of(recipe, tasks).of_stage(probe.learned + 1), forwards=Amount())
    return sum([stage] * trainings, more)


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
