"""Plan of `sapo-lite probe`: the runs of all seeds, the states that are probed, and their folders."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sapo_lite.data.fingerprint import data_fingerprint
from sapo_lite.errors import RecipeError, RunFolderError
from sapo_lite.learning.methods import METHODS, one_by_one
from sapo_lite.probe.run import Measure, finished_probe
from sapo_lite.recipe import Recipe, flat, load_recipe
from sapo_lite.recipe.seeds import number_list, seed_settings, seeds_of
from sapo_lite.run.binding import is_run
from sapo_lite.run.finished import copy_finished, finished_beside
from sapo_lite.run.inputs import inputs_of
from sapo_lite.run.lock import is_empty
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.run.workplan import Amount, Work, plan_of
from sapo_lite.support.checked_json import read_checked
from sapo_lite.support.messages import quoted
from sapo_lite.types import Task, learned_tasks

# In the folder of all probes: the settings that they share.
FILE = "probes.json"
# Settings that differ between seeds, or that an option sets, and that option.
_BY_OPTION = {"seed": "--seeds", "prompt.strategy": "--state"}


@dataclass(frozen=True)
class ProbePlan:
    """All probes of a recipe: of each seed, the run and its states.

    recipes: of the run of each seed
    tasks: of the run of each seed, by seed
    after: numbers of tasks that are learned before each probe
    draw: whether the seed draws the order of the tasks and the examples, too
    notes: what a reader should know, a sentence each
    """

    recipes: dict[int, Recipe]
    tasks: dict[int, list[Task]]
    after: tuple[int, ...]
    measure: Measure
    draw: bool
    out: Path
    data: Path | None
    notes: list[str]

    @property
    def recipe(self) -> Recipe:
        """That of the first seed."""
        return next(iter(self.recipes.values()))

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that all seeds share, by `section.key`. They identify the folder of all probes."""
        found = {k: v for k, v in flat(self.recipe.resolved()).items() if k not in ("name", "seed")}
        drawn = {"sequence.tasks": sorted(found["sequence.tasks"]), "sequence.draw": "seed"}
        return found | drawn if self.draw else found

    def run_folder(self, seed: int) -> Path:
        return self.out / f"run-{seed}"

    def folder(self, seed: int, after: int) -> Path:
        return self.out / f"seed-{seed}-after-{after}"

    def folders(self, seed: int) -> dict[int, Path]:
        """Folders of the probes of a seed, by the number of tasks learned before."""
        return {after: self.folder(seed, after) for after in self.after}

    def finished(self, seed: int, after: int) -> bool:
        """Whether nothing of a probe is left to do. Raises RunFolderError for a folder of something else."""
        recipe, tasks = self.recipes[seed], self.tasks[seed]
        return finished_probe(recipe, tasks, self.folder(seed, after), self.measure) is not None

    def task(self, seed: int, after: int) -> Task:
        """The task that is probed."""
        return learned_tasks(self.tasks[seed])[after]

    def candidates(self, seed: int, after: int) -> int:
        """Number of candidates, if the source makes all paraphrases that are asked for."""
        has_instruction = bool(self.task(seed, after).instruction.strip())
        return 1 + self.recipes[seed].paraphrase.count * has_instruction

    def training_work(self, seed: int, after: int) -> Work:
        """Work of one training and of the tests after it, without what is watched; answers at most."""
        recipe, tasks = self.recipes[seed], learned_tasks(self.tasks[seed])
        rows = [len(task.train) for task in tasks]
        replayed = METHODS[recipe.adapter.method].replay_count(recipe.adapter, rows[:after], rows[after])
        trained = rows[after] + replayed
        answers = len(recipe.evaluation.kinds) * sum(len(task.test) for task in tasks)
        return Work(
            steps=recipe.training.steps(trained),
            rows=recipe.training.epochs * trained,
            answers=Amount(answers, exact=False),
        )

    def scoring_work(self, seed: int, after: int) -> Work:
        """Work before the trainings of a probe."""
        examples = self.recipes[seed].scoring.examples(len(self.task(seed, after).train))
        scored = self.candidates(seed, after) * examples
        return Work(forwards=Amount(scored), answers=Amount(scored if self.measure.accuracy else 0))

    def run_work(self, seed: int) -> Work:
        """Work of the run of a seed, up to the last state that is probed."""
        planned = plan_of(self.recipes[seed], self.tasks[seed])
        return sum((planned.of_stage(number) for number in range(max(self.after) + 1)), Work())


def make_plan(
    spec: str,
    settings: Sequence[str],
    *,
    seeds: str,
    draw: bool,
    state: str,
    after: str | None,
    measure: Measure,
    out: Path | None,
    data: Path | None,
) -> ProbePlan:
    """Make the plan of a recipe's probes.

    settings: overrides `section.key=value` for all seeds
    seeds, after: as on the command line; without `after`, half of the tasks
    state: strategy that the tasks before the probed one are learned with

    Raises:
        SapoLiteError: a setting does not fit, data are missing, or the folder holds something else.
    """
    _refuse_own(settings, draw)
    shared = [*settings, f"prompt.strategy={state}"]
    base = load_recipe(spec, shared)
    notes = []
    if not base.wants_candidates:
        # The run makes the candidates that are probed, and cuts inputs for the longest of them.
        shared.append("paraphrase.held_out=1")
        base = load_recipe(spec, shared)
        notes = [f'paraphrase.held_out = 1, since the strategy "{state}" alone has no candidates made']
    drawn = base.sequence.tasks if draw else None
    recipes = {seed: load_recipe(spec, [*shared, *seed_settings(seed, drawn)]) for seed in seeds_of(seeds)}
    tasks = {seed: load_run_tasks(recipe.sequence, data) for seed, recipe in recipes.items()}
    counts = _after(after, len(learned_tasks(next(iter(tasks.values())))))
    _check(base)
    plan = ProbePlan(recipes, tasks, counts, measure, draw, out or Path(), data, [*base.notices, *notes])
    if out is None:
        digest = hashlib.sha256(json.dumps(plan.settings, sort_keys=True).encode()).hexdigest()[:8]
        plan = replace(plan, out=Path("runs") / f"probe-{base.name}-{digest}")
    _check_folder(plan)
    return plan


def _refuse_own(settings: Sequence[str], draw: bool) -> None:
    options = _BY_OPTION | ({"sequence.draw": "--draw"} if draw else {})
    for setting in settings:
        if option := options.get(setting.partition("=")[0].strip()):
            raise RecipeError(f"--set {setting}: expected a setting that all seeds share; use {option}")


def _after(text: str | None, tasks: int) -> tuple[int, ...]:
    if tasks < 2:
        raise RecipeError(
            "sequence.tasks: expected at least 2 tasks to learn, found 1. The first is the state."
        )
    if text is None:
        return (tasks // 2,)
    found = number_list(text, "--after", "numbers such as 1,2,3 or 1-3")
    if strange := [number for number in found if not 1 <= number < tasks]:
        raise RecipeError(
            f"--after {text}: expected numbers of tasks from 1 to {tasks - 1}, so that one is left to learn, "
            f"found {', '.join(map(str, strange))}"
        )
    return found


def _check(recipe: Recipe) -> None:
    """Raises RecipeError for a recipe that has nothing to probe."""
    if METHODS[recipe.adapter.method].groups is not one_by_one:
        raise RecipeError(
            f"adapter.method: expected one that learns a task after another, found "
            f"{quoted(recipe.adapter.method)}"
        )
    if recipe.rewrite.enabled:
        raise RecipeError("rewrite.enabled: expected false: a probe trains with the answers as they are")
    if recipe.paraphrase.count < 1:
        raise RecipeError("paraphrase.count: expected at least 1, found 0: there is nothing to compare")


_AGAIN = "Delete the file: the same command makes it again."


def _check_folder(plan: ProbePlan) -> None:
    """Raises RunFolderError if the folder is not that of these probes, nor empty."""
    file = plan.out / FILE
    if file.exists():
        before, now = read_checked(file, _AGAIN), plan.settings
        differing = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        if differing:
            found = "\n  ".join(
                f"{key}: {quoted(before.get(key))} there, {quoted(now.get(key))} now" for key in differing
            )
            raise RunFolderError(
                f"{plan.out} holds other probes:\n  {found}\nChoose another folder with --out, or leave it "
                "out to have one named by the settings."
            )
    elif not is_empty(plan.out):
        what = "a run folder" if is_run(plan.out) else "not a folder of probes"
        raise RunFolderError(f"{plan.out} exists and is {what}. Choose a new or an empty folder for --out.")


def reuse_runs(plan: ProbePlan) -> Mapping[int, Path]:
    """Copy finished runs beside the folder that are the runs of these seeds. Returns what was copied."""
    beside, copied = finished_beside(plan.out), {}
    for seed, recipe in plan.recipes.items():
        tasks = plan.tasks[seed]
        same = recipe.resolved(), data_fingerprint(tasks), inputs_of(recipe, tasks)
        if source := copy_finished(plan.run_folder(seed), beside, *same):
            copied[seed] = source
    return copied
