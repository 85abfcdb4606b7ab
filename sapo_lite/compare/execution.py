"""Runs the cells of a comparison. Each is an ordinary run, with a folder from which it resumes."""

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Protocol, TextIO

import torch

from sapo_lite.compare.cells import CellRunner
from sapo_lite.compare.comparison import TIME, Comparison, require_kind
from sapo_lite.compare.executors.do_all import Watcher, Workers, do_all
from sapo_lite.compare.executors.local import LocalWorkers
from sapo_lite.compare.executors.on_ray import cluster, on_ray, slots
from sapo_lite.compare.executors.on_slurm import on_slurm, require_submitit
from sapo_lite.compare.executors.place import Place
from sapo_lite.compare.findings import grouped
from sapo_lite.compare.grid import Cell
from sapo_lite.compare.plan import Plan
from sapo_lite.compare.read import other_candidates, read_run, with_own_prompts
from sapo_lite.compare.reuse import has_piece, pieces
from sapo_lite.errors import SapoLiteError
from sapo_lite.model.hub import locate_model
from sapo_lite.model.load import load_backbone
from sapo_lite.model.precision import choose_format
from sapo_lite.prompts.progress import PromptProgress
from sapo_lite.prompts.sources import SOURCES, kind_of
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.inputs import bind, kept_format
from sapo_lite.run.paths import COMPARISON, WORKERS_LOG
from sapo_lite.run.prepare import paraphrase
from sapo_lite.run.progress import RunProgress
from sapo_lite.run.usage import Usage
from sapo_lite.support.checked_json import write_checked


class GridWatcher(Watcher[Cell], Protocol):
    """Callbacks for cells, and for sentences about them."""

    def notice(self, text: str) -> None: ...


def check(plan: Plan, place: Place, jobs: int | None, kind: str | None) -> None:
    """Check the options, so that they fail before the first run.

    Raises:
        SapoLiteError: several jobs on this machine's CUDA device, a kind of prompt that is not tested, or
            what cannot be run on other machines.
    """
    kinds = dict.fromkeys(kind for recipe in plan.grid.recipes.values() for kind in recipe.test_kinds)
    require_kind(kind, list(kinds))
    if place.kind == "local" and (jobs or 1) > 1 and torch.cuda.is_available():
        raise SapoLiteError(
            f"--jobs {jobs}: expected 1 on a machine with CUDA, whose memory is for one backbone at a time. "
            "Leave out --jobs, or hide the device with CUDA_VISIBLE_DEVICES=''."
        )
    if place.kind != "local":
        _check_elsewhere(plan, place)


def _check_elsewhere(plan: Plan, place: Place) -> None:
    if next(iter(plan.grid.recipes.values())).model.dtype == "auto":
        raise SapoLiteError(
            f'--on {place.kind}: expected model.dtype = "float32" or "bfloat16", found "auto", which each '
            "machine would choose for itself. Add --set model.dtype=bfloat16."
        )
    if place.kind == "ray" and plan.grid.test_with:
        raise SapoLiteError(
            "--on ray: expected runs that need no other, found --test-with: a node has the files of its own "
            "run only. Compare with --on local or slurm."
        )
    if place.kind == "slurm":
        require_submitit(place.cluster)


def begin(plan: Plan) -> None:
    """Write comparison.json with the settings, which identify the comparison, and the cells."""
    cells = [
        {"strategy": cell.strategy, "adapter": cell.adapter, "seed": cell.seed}
        | {"folder": os.path.relpath(folder.path, plan.out), "command": plan.command(cell)}
        for cell, folder in plan.folders.items()
    ]
    content = {"recipe": plan.grid.name, "settings": plan.grid.settings, "runs": cells}
    write_checked(plan.out / COMPARISON, content)


def make_candidates(plan: Plan, progress: PromptProgress, *, pull: bool) -> None:
    """Make the candidates of all cells before any backbone is loaded: two models may not fit on one GPU.

    If the backbone itself paraphrases, they are made later, by the cell that has loaded it.

    Raises:
        SapoLiteError: as in a run.
    """
    for cell in plan.unfinished:
        recipe, tasks = plan.grid.recipes[cell], plan.tasks[cell]
        wanted = "candidates" in pieces(recipe.resolved()).keys() - plan.sources[cell].keys()
        if not wanted or any(SOURCES[kind_of(name)].backbone for name in recipe.paraphrase.backend):
            continue
        with RunFolder(plan.folders[cell].path) as folder:
            bind(folder, recipe, tasks)
            with Usage(folder).measure("paraphrase"):
                paraphrase(recipe, tasks, folder, progress, partial(load_backbone, recipe.model), pull=pull)


def run_cells(
    plan: Plan,
    place: Place,
    jobs: int | None,
    watcher: GridWatcher,
    to_file: Callable[[TextIO], RunProgress],
    *,
    pull: bool,
) -> None:
    """Run every unfinished cell, as soon as what it takes from other cells is finished: pieces that it
    copies, and the prompts that it is tested with.

    jobs: greatest number of cells at a time; None for one on this machine, and elsewhere all that there is
        room for
    to_file: returns a progress display that writes to a file; called in worker processes

    Raises:
        SapoLiteError: the error of a cell; later cells were not started.
    """
    unfinished = plan.unfinished

    def ready(cell: Cell, finished: Collection[Cell]) -> bool:
        other = plan.grid.tested_with(cell)
        return (other not in unfinished or other in finished) and all(
            source not in unfinished or source in finished or has_piece(plan.folders[source].path, piece)
            for piece, source in plan.sources[cell].items()
        )

    paths = {cell: folder.path for cell, folder in plan.folders.items()}
    runner = CellRunner(plan.grid.recipes, paths, plan.data, number_format(plan), pull, to_file)
    with _executor(place, jobs, runner, plan, watcher) as (do, workers):
        do_all(unfinished, do, workers, watcher, ready)


@contextlib.contextmanager
def _executor(
    place: Place, jobs: int | None, runner: CellRunner, plan: Plan, watcher: GridWatcher
) -> Iterator[tuple[Callable[[Cell], float], Workers]]:
    """What executes a cell, and where."""
    log, most = plan.out / WORKERS_LOG, jobs or len(plan.unfinished)
    if place.kind == "ray":
        with cluster(place.address, log) as resources:
            size, gpus = min(most, slots(resources)), "GPU" in resources
            ray = on_ray(size, log, runner, gpus=gpus, notice=watcher.notice)
            yield ray, ray
    elif place.kind == "slurm":
        slurm = on_slurm(
            *(most, log, runner),
            parameters=place.parameters,
            cluster=place.cluster,
            notice=watcher.notice,
        )
        yield slurm, slurm
    else:
        jobs = jobs or 1
        threads = (
            torch.get_num_threads() // jobs if jobs > 1 and "OMP_NUM_THREADS" not in os.environ else None
        )
        yield runner, LocalWorkers(jobs, log, partial(_prepare, threads), fresh=torch.cuda.is_available())


def number_format(plan: Plan) -> str | None:
    """The number format of all cells: that of earlier ones, or chosen now; None if the recipe names it."""
    model = next(iter(plan.grid.recipes.values())).model
    if model.dtype != "auto" or not plan.unfinished:
        return None
    kept = (kept_format(folder.path) for folder in plan.folders.values())
    return next(filter(None, kept), None) or choose_format(model, locate_model(model.name))[0]


def _prepare(threads: int | None) -> None:
    """Set the number of threads; None keeps the default, with which sums have the order of a single run."""
    if threads is not None:
        torch.set_num_threads(max(1, threads))


def conclude(plan: Plan, kind: str | None) -> Comparison:
    """Compare the cells. All of them must be finished."""
    runs = [read_run(folder.path, plan.command(cell)) for cell, folder in plan.folders.items()]
    runs = with_own_prompts(runs)
    notes = [*plan.grid.notices, *plan.notes]
    if plan.grid.test_with:
        notes.append(
            f'Other prompts: those that "{plan.grid.test_with}" chose, with the same adapter and seed.'
        )
    notes += [f"{cell.name} is {path}, which was finished before" for cell, path in plan.reused.items()]
    notes += [*filter(None, [other_candidates(runs)]), TIME]
    kind = kind or next(iter(runs[0].values))
    grid = plan.grid
    return Comparison(grid.name, grid.settings, runs, grouped(runs), kind, plan.out, notes)
