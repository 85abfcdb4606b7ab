"""What a run is and how far it is, read from its folder. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sapo_lite.errors import RunFolderError
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.learning.methods import METHODS, trains
from sapo_lite.run import paths
from sapo_lite.run.binding import is_run, read_binding
from sapo_lite.run.inputs import metrics_of
from sapo_lite.run.read_run import require_run
from sapo_lite.run.results import Results, is_finished, read_results


@dataclass(frozen=True)
class Overview:
    """A run, finished or not.

    task_metrics: name of the metric by task key, of the tasks that are learned
    strategy: "-" if nothing is trained, since a prompt is chosen only for training
    stages, done: numbers of all stages and of finished ones, the test before any training included
    results: None while the run is not finished
    changed: when it was finished, or else when a stage was finished or time was last added
    """

    folder: Path
    name: str
    model: str
    strategy: str
    adapter: str
    seed: int
    task_metrics: dict[str, str]
    stages: int
    done: int
    results: Results | None
    changed: datetime

    def value(self, name: str) -> float | None:
        """AP, BWT or FWT in percent, under the first kind of prompt; None if unknown or not defined."""
        if self.results is None:
            return None
        return self.results.value(next(iter(self.results.matrices)), TASK_METRIC, name)


def read_overview(run: Path) -> Overview:
    """What the run in a folder is, and how far it is.

    Raises:
        RunFolderError: the folder holds no run, or one of another version, or a file is damaged.
    """
    require_run(run)
    binding = read_binding(run)
    recipe, results = binding.recipe, read_results(run) if is_finished(run) else None
    learned, method = _learned(recipe["sequence"]), recipe["adapter"]["method"]
    metrics = list(metrics_of(binding.inputs).items())[: len(learned)]  # those of watched tasks come last
    return Overview(
        folder=run,
        name=recipe["name"],
        model=recipe["model"]["name"],
        strategy=recipe["prompt"]["strategy"] if trains(method) else "-",
        adapter=method,
        seed=recipe["seed"],
        task_metrics=results.task_metrics if results else dict(metrics),
        stages=1 + len(METHODS[method].groups(learned)),
        done=paths.stages_finished(run),
        results=results,
        changed=_changed(run),
    )


def _learned(sequence: dict[str, Any]) -> list[str]:
    """The tasks that are learned, as the recipe names them."""
    watched = [task["name"] for task in sequence.get("task", ()) if task.get("watch")]
    return [name for name in sequence["tasks"] if name not in watched]


def _changed(run: Path) -> datetime:
    last = run / paths.RESULTS
    files = [last] if last.exists() else [run / paths.RECIPE, run / paths.USAGE]
    return datetime.fromtimestamp(max(file.stat().st_mtime for file in files if file.exists()))


def find_runs(parent: Path) -> tuple[Sequence[Overview], Sequence[str]]:
    """The runs in a folder and one level below, in the order of their last change.

    Returns them, and a sentence for each that cannot be read.

    Raises:
        RunFolderError: there is no such folder.
    """
    if not parent.is_dir():
        raise RunFolderError(f"{parent}: expected a folder of runs, found no such folder")
    found, faults = [], []
    for folder in (path for depth in ("*", "*/*") for path in parent.glob(depth) if is_run(path)):
        try:
            found.append(read_overview(folder))
        except RunFolderError as error:
            faults.append(str(error))
    return sorted(found, key=lambda run: run.changed), faults
