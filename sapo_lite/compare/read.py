"""Finished runs, read from their folders, and the check whether they can be compared."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from sapo_lite.compare.times import seconds_alone
from sapo_lite.errors import RunFolderError
from sapo_lite.evaluation.continual import FORMULAS, IN_TASK, RETENTION
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.learning.methods import trains
from sapo_lite.recipe import flat
from sapo_lite.run import paths
from sapo_lite.run.binding import Inputs, changed_inputs, instead_of_a_run, is_run, read_binding
from sapo_lite.run.folder import read_usage
from sapo_lite.run.inputs import OTHER_RUN
from sapo_lite.run.other_run import prompts_hash
from sapo_lite.run.results import Results, is_finished, read_results
from sapo_lite.support.checked_json import read_checked
from sapo_lite.support.messages import many

WATCHED = "watched"
# Descriptions of metrics, by name. A run has those of robustness and of what is watched if it measured them.
METRICS = {
    **FORMULAS,
    "in-task": IN_TASK,
    "retention": RETENTION,
    "held-out mean": "mean over tasks of the mean over prompts held out, at the end",
    "held-out worst": "mean over tasks of the worst of these prompts",
    WATCHED: "mean over what is watched of the last score minus that before any training",
}
_OF_ROBUSTNESS = {"held-out mean": "mean", "held-out worst": "worst"}


@dataclass(frozen=True)
class Run:
    """A finished run of the recipe `name`.

    settings: by `section.key`
    data: fingerprint by task
    inputs: hashes of model and file of candidates
    candidates: hash of the texts of all candidates; empty if there were none
    task_metrics: by task, the metric of its scores
    values: kind of prompt -> metric -> percent; None if the metric is not defined (BWT of a single task)
    seconds: by kind of work, without copied pieces
    seconds_alone: sum of all seconds, with those that copied pieces took in other runs
    peak_memory: gigabytes by device
    command: command line that repeats the run; None if unknown
    left_out: number of tasks that are not in the retention, by kind of prompt
    chosen: hash of the prompts that it chose
    tested_with: hash of another run's prompts that it was tested with (kind "other"), or None
    """

    path: Path
    name: str
    settings: dict[str, Any] = field(repr=False)
    data: dict[str, str] = field(repr=False)
    inputs: Inputs = field(repr=False)
    candidates: str
    task_metrics: dict[str, str]
    values: dict[str, dict[str, float | None]]
    seconds: dict[str, float]
    seconds_alone: float
    peak_memory: dict[str, float]
    command: str | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    chosen: str = field(default="", repr=False)
    tested_with: str | None = field(default=None, repr=False)

    @property
    def seed(self) -> int:
        return int(self.settings["seed"])

    @property
    def adapter(self) -> str:
        return str(self.settings["adapter.method"])

    @property
    def strategy(self) -> str:
        """Name of the strategy; "-" if nothing was trained, since a prompt is chosen only for training."""
        return str(self.settings["prompt.strategy"]) if trains(self.adapter) else "-"


def read_run(path: Path, command: str | None = None) -> Run:
    """Read the finished run in a folder. Raises RunFolderError if there is none."""
    if not is_run(path):
        raise RunFolderError(
            f"{path}: expected the folder of a finished run or of a comparison, "
            f"found {instead_of_a_run(path)}"
        )
    results, about, usage = read_results(path), read_binding(path), read_usage(path)
    return Run(
        path,
        results.recipe,
        {key: value for key, value in flat(about.recipe).items() if key != "name"},
        about.data,
        {what: parts for what, parts in about.inputs.items() if what != OTHER_RUN},
        _candidates(path),
        results.task_metrics,
        {kind: _values(results, kind) for kind in results.metrics},
        usage["seconds"],
        seconds_alone(path),
        usage["peak_memory_gb"],
        command,
        {kind: by_metric[TASK_METRIC].left_out for kind, by_metric in results.retention.items()},
        prompts_hash({task: candidate.text for task, candidate in results.chosen.items()}),
        about.inputs.get(OTHER_RUN, {}).get("prompts"),
    )


def _values(results: Results, kind: str) -> dict[str, float | None]:
    """Values by metric; those of robustness and of what is watched only if they were measured."""
    averages = results.robustness_averages
    watched = list(results.watched.values())
    return {
        **{name: results.value(kind, TASK_METRIC, name) for name in (*FORMULAS, "in-task", "retention")},
        **{name: averages[key] for name, key in _OF_ROBUSTNESS.items() if key in averages},
        **({WATCHED: fmean(w.scores[-1] - w.scores[0] for w in watched)} if watched else {}),
    }


def _candidates(run: Path) -> str:
    pools = [
        read_checked(file, "Put the file back.", f"{paths.CANDIDATES}/{file.stem}")["candidates"]
        for file in paths.pools(run)
    ]
    texts = [[candidate["text"] for candidate in pool] for pool in pools]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest() if texts else ""


def with_own_prompts(runs: Sequence[Run]) -> list[Run]:
    """The runs; for one whose prompts others of its seed were tested with, "other" are its own prompts.

    So all runs have a common kind of test prompt: what one of them chose.
    """
    found = []
    for run in runs:
        common = any((other.tested_with, other.seed) == (run.chosen, run.seed) for other in runs)
        if common and run.tested_with is None and "chosen" in run.values:
            own = {name: run.values["chosen"][name] for name in ("AP", "in-task", "retention")}
            values, left_out = run.values | {"other": own}, run.left_out | {"other": run.left_out["chosen"]}
            run = replace(run, values=values, left_out=left_out)
        found.append(run)
    return found


def read_folders(folders: Sequence[Path]) -> list[Run]:
    """Read all runs of run folders, and the finished ones of comparisons, which may be under way.

    Raises:
        RunFolderError: runs are not finished or cannot be read, a line for each.
    """
    runs, faults = [], []
    for folder in folders:
        for path, command in finished_in(folder):
            try:
                runs.append(read_run(path, command))
            except RunFolderError as error:
                faults.append(str(error))
    if faults:
        raise RunFolderError("\n".join(faults))
    return with_own_prompts(runs)


def finished_in(folder: Path) -> list[tuple[Path, str | None]]:
    """Run folders and their commands: of a comparison the finished ones, else the folder itself.

    Raises:
        RunFolderError: no run of the comparison is finished yet.
    """
    cells = runs_in(folder)
    if not is_comparison(folder):
        return cells
    found = [(path, command) for path, command in cells if is_finished(path)]
    if not found:
        raise RunFolderError(
            f"{folder}: expected a comparison with finished runs, found none of its "
            f"{many(len(cells), 'run')} finished. The command that began it goes on with it."
        )
    return found


def under_way(folders: Sequence[Path]) -> list[str]:
    """A sentence for each comparison that has unfinished runs."""
    counts = {
        folder: (len(finished_in(folder)), len(runs_in(folder)))
        for folder in folders
        if is_comparison(folder)
    }
    return [
        f"{folder}: {done} of {many(total, 'run')} finished so far; the others are left out."
        for folder, (done, total) in counts.items()
        if done < total
    ]


def is_comparison(folder: Path) -> bool:
    return (folder / paths.COMPARISON).exists()


def runs_in(folder: Path) -> list[tuple[Path, str | None]]:
    """Run folders and their commands: those of a comparison's cells, else the folder itself."""
    if not is_comparison(folder):
        return [(folder, None)]
    fix = "Name the run folders instead, or repeat the command that made the comparison."
    cells = read_checked(folder / paths.COMPARISON, fix)["runs"]
    return [(Path(os.path.normpath(folder / cell["folder"])), cell["command"]) for cell in cells]


def incomparable(runs: Sequence[Run]) -> list[str]:
    """A line with the reason for each run that cannot be compared with the first run.

    If seeds draw the data, a run is compared with the first run of the same seed.
    """
    drawn = all(run.settings["sequence.draw"] == run.seed for run in runs)
    found = []
    for run in runs:
        first = next(other for other in runs if other.seed == run.seed) if drawn else runs[0]
        if reason := (
            _unlike(run, first)
            or (set(run.data) != set(runs[0].data) and _other_tasks(run, runs[0]))
            or ", ".join(
                f"{what} since {runs[0].path}" for what in changed_inputs(runs[0].inputs, run.inputs)
            )
        ):
            found.append(f"{run.path}: {reason}")
    return found


def other_candidates(runs: Sequence[Run]) -> str | None:
    """A sentence naming the seeds whose runs had different candidates; None if there is no such seed."""
    pools: dict[int, set[str]] = {}
    for run in runs:
        pools.setdefault(run.seed, set()).update(filter(None, [run.candidates]))
    seeds = [str(seed) for seed, found in pools.items() if len(found) > 1]
    return f"Not all runs had the same candidates to choose from: seed {', '.join(seeds)}." if seeds else None


def _unlike(run: Run, first: Run) -> str | None:
    if list(run.data) != list(first.data):
        return _other_tasks(run, first)
    if changed := [task for task in run.data if run.data[task] != first.data[task]]:
        return f"other data than {first.path} for {', '.join(changed)}"
    others = [task for task, metric in run.task_metrics.items() if metric != first.task_metrics.get(task)]
    if others:
        return f"scored by another metric than {first.path}: {', '.join(others)}"
    keys = [key for key in {**first.settings, **run.settings} if key.startswith("evaluation.")]
    keys = [key for key in keys if key != "evaluation.other_run"]
    if tested := [key for key in keys if run.settings.get(key) != first.settings.get(key)]:
        return f"tested in another way than {first.path}: other {', '.join(tested)}"
    return None


def _other_tasks(run: Run, first: Run) -> str:
    if set(run.data) == set(first.data):
        return f"learns the tasks of {first.path} in another order"
    return f"learns {', '.join(run.data)}; {first.path} learns {', '.join(first.data)}"
