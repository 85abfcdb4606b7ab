"""Probes of one run: its states, each probed in a folder of its own. Imports torch only if there is work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sapo_lite.data.fingerprint import data_fingerprint
from sapo_lite.probe.results import FILE, ProbeResults, read_probe
from sapo_lite.recipe import Recipe
from sapo_lite.run.binding import require_same
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.inputs import bind, inputs_of
from sapo_lite.run.paths import LOG
from sapo_lite.run.progress import RunProgress
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.support.library_logs import chatter_to
from sapo_lite.types import Task

if TYPE_CHECKING:
    from sapo_lite.probe.trainings import Watcher


@dataclass(frozen=True)
class Measure:
    """How much a probe measures.

    orders: number of orders of the rows that each candidate is trained in
    accuracy: whether candidates also answer the scoring examples before training
    """

    orders: int = 2
    accuracy: bool = False

    def done(self, found: ProbeResults) -> bool:
        """Whether finished results have all of it."""
        orders = 1 + max(training.order for training in found.trainings)
        known = not self.accuracy or all(one.accuracy is not None for one in found.candidates)
        return known and orders >= self.orders


def probe_run(
    recipe: Recipe,
    run: Path,
    folders: Mapping[int, Path],
    measure: Measure,
    *,
    watcher: "Watcher",
    progress: RunProgress,
    data: Path | None = None,
    pull: bool = False,
    dtype: str | None = None,
) -> list[ProbeResults]:
    """Probe states of the recipe's run, or go on where an earlier process stopped.

    The run is learned as far as it is needed, if it is not there; one that went further, or is finished, is
    taken as it is. No model is loaded if all probes are finished.

    run: folder of the run
    folders: folder of each probe, by the number of tasks that are learned before it
    dtype: number format of the run, if its recipe leaves it open

    Raises:
        SapoLiteError: as in a run; also if a folder holds something of another recipe.
    """
    tasks = load_run_tasks(recipe.sequence, data, progress.notice)
    found = {learned: finished_probe(recipe, tasks, path, measure) for learned, path in folders.items()}
    missing = {learned: folders[learned] for learned, results in found.items() if results is None}
    if missing:
        from sapo_lite.model.memory import free_memory
        from sapo_lite.model.notices import noticed
        from sapo_lite.probe.trainings import probe_states

        orders, accuracy = measure.orders, measure.accuracy
        listening = noticed(progress.notice)
        with RunFolder(run) as folder, chatter_to(run / LOG), listening:
            bind(folder, recipe, tasks, dtype)
            found |= probe_states(
                recipe,
                tasks,
                folder,
                missing,
                orders,
                accuracy=accuracy,
                watcher=watcher,
                progress=progress,
                pull=pull,
            )
        free_memory()  # the next run may have a backbone of its own
    return [results for results in found.values() if results is not None]


def finished_probe(
    recipe: Recipe, tasks: Sequence[Task], path: Path, measure: Measure
) -> ProbeResults | None:
    """The results of a finished probe in a folder, or None if something is left to do.

    Raises:
        RunFolderError: the folder holds a probe of another recipe, or of other data or inputs.
    """
    if not (path / FILE).exists():
        return None
    require_same(path, recipe.resolved(), data_fingerprint(tasks), inputs_of(recipe, tasks))
    found = read_probe(path)
    return found if measure.done(found) else None
