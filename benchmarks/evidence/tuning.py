"""Settings tried on tuning seeds. Every one that is tried is entered in tried.json before it runs.

What is looked at is the score right after learning, and the size of the updates: never what was forgotten.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from benchmarks.evidence.items import ADAPTER, Run
from benchmarks.evidence.programme import Study
from benchmarks.evidence.raw import write_compact
from benchmarks.evidence.work import prepare, run_item
from sapo_lite.compare.executors.do_all import do_all
from sapo_lite.compare.executors.local import LocalWorkers
from sapo_lite.errors import RecipeError
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.recipe.seeds import seed_list
from sapo_lite.support.checked_json import read_checked
from sapo_lite.support.files import read_json
from sapo_lite.support.messages import many, number

TRIED = "tried.json"


@dataclass(frozen=True)
class Trial:
    """A variant with further settings, on one tuning seed."""

    variant: str
    set: tuple[str, ...]
    seed: int

    @property
    def run(self) -> Run:
        return Run(self.variant, ADAPTER, self.seed)


@dataclass(frozen=True)
class _Tune:
    """Executes a trial in a worker process, and enters its scores."""

    study: Study

    def study_of(self, trial: Trial) -> Study:
        """The study with folders of these settings. Nothing is tested with the prompts of another run."""
        text = json.dumps([self.study.settings["settings"], trial.set])
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        settings = {**self.study.settings, "other_run": False}
        return replace(self.study, settings=settings, out=self.study.out / "tuning" / digest)

    def __call__(self, trial: Trial) -> float:
        run_item(self.study_of(trial), trial.run, trial.set)
        return 1.0


def trials(study: Study) -> list[Trial]:
    """All trials of the settings. Raises RecipeError if a seed is not for tuning."""
    table = study.settings["tuning"]
    seeds = seed_list(table["seeds"])
    if strange := sorted(set(seeds) - set(study.tuning_seeds)):
        raise RecipeError(
            f"tuning.seeds: expected seeds for tuning ({study.settings['tuning_seeds']}), found "
            f"{', '.join(map(str, strange))}"
        )
    return [Trial(one["variant"], tuple(one.get("set", ())), seed) for one in table["try"] for seed in seeds]


def tune(study: Study, jobs: int, console: Console) -> None:
    """Execute all trials and print their scores.

    Raises:
        SapoLiteError: as a run does.
    """
    wanted, execute = trials(study), _Tune(study)
    for trial in wanted:
        _enter(study, trial, None)
        execute.study_of(trial).draw(trial.run)  # written before several processes need it
    study.out.mkdir(parents=True, exist_ok=True)
    watcher = _Entries(study, execute, console)
    workers = LocalWorkers(jobs, study.out / "workers.log", prepare)
    do_all(wanted, execute, workers, watcher, ready=lambda trial, finished: True)
    for entry in read_json(study.results / TRIED):
        means = [f"{key} {number(_mean(entry[key]), 3)}" for key in ("in_task", "update")]
        what = f"{' '.join([entry['variant'], *entry['set']])}: {', '.join(means)}"
        console.print(f"{what} ({many(len(entry['seeds']), 'seed')})", highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class _Entries:
    study: Study
    execute: _Tune
    console: Console

    def started(self, trial: Trial) -> None:
        pass

    def finished(self, trial: Trial, took: float) -> None:
        folder = self.execute.study_of(trial).folder(trial.run)
        _enter(self.study, trial, read_checked(folder / "results.json"))
        self.console.print(f"tried {trial.run.name} {' '.join(trial.set)}", highlight=False, soft_wrap=True)


def _enter(study: Study, trial: Trial, results: Mapping[str, Any] | None) -> None:
    """Enter a trial in tried.json; `results` of its run, once it is finished."""
    path = study.results / TRIED
    tried: list[dict[str, Any]] = read_json(path) if path.exists() else []
    about = {
        "recipe": study.settings["recipe"],
        "settings": study.settings["settings"],
        "variant": trial.variant,
        "adapter": ADAPTER,
        "set": [*study.variants[trial.variant].set, *trial.set],
    }
    entry = next((one for one in tried if {key: one[key] for key in about} == about), None)
    if entry is None:
        tried.append(entry := {**about, "seeds": [], "in_task": [], "update": []})
    if trial.seed not in entry["seeds"]:
        entry["seeds"].append(trial.seed)
        entry["in_task"].append(None)
        entry["update"].append(None)
    if results is not None:
        place = entry["seeds"].index(trial.seed)
        entry["in_task"][place], entry["update"][place] = in_task(results), update(results)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_compact(path, tried)


def in_task(results: Mapping[str, Any]) -> float:
    """Mean score of the tasks right after learning, under their own prompts, in percent."""
    scores = results["matrices"]["chosen"][TASK_METRIC]
    return math.fsum(scores[j + 1][j] for j in range(len(scores) - 1)) / (len(scores) - 1)


def update(results: Mapping[str, Any]) -> float | None:
    """Mean size of the updates of all tasks; None in a run that did not measure it."""
    return _mean([sizes["update"] for sizes in results.get("updates", {}).values()])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
