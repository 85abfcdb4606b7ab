"""Executes all probes of a plan, seed by seed, with the time that is left."""

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from sapo_lite.errors import SapoLiteError
from sapo_lite.probe.plan import FILE, ProbePlan, reuse_runs
from sapo_lite.probe.results import ProbeResults
from sapo_lite.probe.run import probe_run
from sapo_lite.prompts.sources import SOURCES, kind_of
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.inputs import bind, kept_format
from sapo_lite.run.lock import locked
from sapo_lite.run.progress import RunProgress
from sapo_lite.support.checked_json import write_checked
from sapo_lite.support.eta import Eta
from sapo_lite.support.messages import duration
from sapo_lite.types import Candidate, learned_tasks

if TYPE_CHECKING:
    from sapo_lite.probe.state import State


def run_probes(plan: ProbePlan, progress: RunProgress, *, pull: bool = False) -> list[ProbeResults]:
    """Do all probes, or go on where an earlier process stopped.

    Raises:
        SapoLiteError: as in a run; the message names the seed.
    """
    with locked(plan.out):
        write_checked(plan.out / FILE, plan.settings)
        for seed, source in reuse_runs(plan).items():
            progress.notice(f"the run of seed {seed} is a copy of {source}, which was finished before")
        counter, found, dtype = _Counter(plan, progress), list[ProbeResults](), None
        if counter.left:
            _make_candidates(plan, counter.left, progress, pull=pull)
        for seed, recipe in plan.recipes.items():
            folder = plan.run_folder(seed)
            try:
                found += probe_run(
                    recipe,
                    folder,
                    plan.folders(seed),
                    plan.measure,
                    watcher=counter,
                    progress=progress,
                    data=plan.data,
                    pull=pull,
                    dtype=dtype,
                )
            except SapoLiteError as error:
                raise SapoLiteError(f"seed {seed}: {error}") from None
            dtype = dtype or kept_format(folder)  # one number format for all seeds
        return found


def _make_candidates(plan: ProbePlan, seeds: Collection[int], progress: RunProgress, *, pull: bool) -> None:
    """Make the candidates of the seeds before any backbone is loaded: two models may not fit on one GPU.

    If the backbone itself paraphrases, they are made later, by the run that has loaded it.
    """
    from sapo_lite.model.load import load_backbone
    from sapo_lite.run.prepare import paraphrase
    from sapo_lite.run.usage import Usage

    for seed in seeds:
        recipe, tasks = plan.recipes[seed], plan.tasks[seed]
        if any(SOURCES[kind_of(name)].backbone for name in recipe.paraphrase.backend):
            continue
        with RunFolder(plan.run_folder(seed)) as folder:
            bind(folder, recipe, tasks)
            load = partial(load_backbone, recipe.model)
            with Usage(folder).measure("paraphrase"):
                paraphrase(recipe, learned_tasks(tasks), folder, progress, load, pull=pull)


class _Counter:
    """A Watcher that shows the number of each training and the time left. Finished probes are not counted."""

    def __init__(self, plan: ProbePlan, progress: RunProgress) -> None:
        self._progress = progress
        keys = [(seed, after) for seed in plan.recipes for after in plan.after]
        left = [key for key in keys if not plan.finished(*key)]
        self.left = list(dict.fromkeys(seed for seed, _ in left))  # seeds with something to do
        self._orders = plan.measure.orders
        self._weights = {key: plan.training_work(*key).weight for key in left}
        self._planned = {key: plan.candidates(*key) for key in left}
        self._eta = Eta(0, 0.0, 1)
        for key, candidates in self._planned.items():
            self._plan(key, candidates)

    def _plan(self, key: tuple[int, int], candidates: int) -> None:
        """Add the trainings of so many candidates; below 0, take them away."""
        self._eta.total += candidates * self._orders
        self._eta.work += candidates * self._orders * self._weights[key]

    def _see(self, state: "State") -> tuple[int, int]:
        """Seed and place of a state. The source may have made fewer candidates than planned."""
        key, made = (state.context.recipe.seed, state.learned), len(state.candidates)
        self._plan(key, made - self._planned[key])
        self._planned[key] = made
        return key

    def started(self, state: "State", candidate: Candidate, order: int) -> None:
        self._see(state)
        eta = self._eta
        left = f", about {duration(eta.left)} left" if eta.measured else ""
        self._progress.stage(
            f"training {eta.items + 1} of {eta.total}{left} · seed {state.context.recipe.seed}, after "
            f"{state.learned} of {len(state.run.tasks)} tasks: {state.task.name} · candidate "
            f"{candidate.index}, row order {order}"
        )

    def finished(self, state: "State", took: float) -> None:
        self._eta.add(self._weights[self._see(state)], took)
