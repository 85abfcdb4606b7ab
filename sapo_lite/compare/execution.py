"""Runs the cells of a comparison. Each is an ordinary run, with a folder from which it resumes."""

import os
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

import torch

from sapo_lite.compare.comparison import TIME, Comparison, require_kind
from sapo_lite.compare.executors.local import Watcher, Workers, do_all
from sapo_lite.compare.findings import grouped
from sapo_lite.compare.grid import Cell
from sapo_lite.compare.plan import Plan
from sapo_lite.compare.read import other_candidates, read_run, with_own_prompts
from sapo_lite.compare.reuse import copy_pieces, has_piece, pieces
from sapo_lite.errors import SapoLiteError
from sapo_lite.model.hub import locate_model
from sapo_lite.model.load import load_backbone
from sapo_lite.model.memory import shortage_noticed
from sapo_lite.model.precision import choose_format
from sapo_lite.prompts.progress import PromptProgress
from sapo_lite.prompts.sources import SOURCES, kind_of
from sapo_lite.recipe import Recipe
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.inputs import bind, kept_format
from sapo_lite.run.paths import COMPARISON, LOG, SHOWN, WORKERS_LOG
from sapo_lite.run.pipeline import paraphrase, run
from sapo_lite.run.progress import RunProgress
from sapo_lite.run.results import is_finished
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.run.usage import Usage, forget_peaks
from sapo_lite.support.checked_json import write_checked
from sapo_lite.support.library_logs import chatter_to


def check(plan: Plan, jobs: int, kind: str | None) -> None:
    """Check the options, so that they fail before the first run.

    Raises:
        SapoLiteError: several jobs on CUDA, or a kind of prompt that is not tested.
    """
    kinds = dict.fromkeys(kind for recipe in plan.grid.recipes.values() for kind in recipe.test_kinds)
    require_kind(kind, list(kinds))
    if jobs > 1 and torch.cuda.is_available():
        raise SapoLiteError(
            f"--jobs {jobs}: expected 1 on a machine with CUDA, whose memory is for one backbone at a time. "
            "Leave out --jobs, or hide the device with CUDA_VISIBLE_DEVICES=''."
        )


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
    plan: Plan, jobs: int, watcher: Watcher[Cell], to_file: Callable[[TextIO], RunProgress], *, pull: bool
) -> None:
    """Run every unfinished cell, as soon as what it takes from other cells is finished: pieces that it
    copies, and the prompts that it is tested with.

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

    threads = torch.get_num_threads() // jobs if jobs > 1 and "OMP_NUM_THREADS" not in os.environ else None
    log, fresh = plan.out / WORKERS_LOG, torch.cuda.is_available()
    workers = Workers(jobs, log, partial(_prepare, threads), fresh=fresh)
    paths = {cell: folder.path for cell, folder in plan.folders.items()}
    runner = _Runner(plan.grid.recipes, paths, plan.data, number_format(plan), pull, to_file)
    do_all(unfinished, runner, workers, watcher, ready)


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


@dataclass(frozen=True)
class _Runner:
    """Runs a cell in a worker process."""

    recipes: dict[Cell, Recipe]
    paths: dict[Cell, Path]
    data: Path | None
    dtype: str | None
    pull: bool
    to_file: Callable[[TextIO], RunProgress]

    def __call__(self, cell: Cell) -> float:
        try:
            recipe, path, others = self.recipes[cell], self.paths[cell], self.paths.values()
            return run_cell(recipe, path, others, self.to_file, self.data, pull=self.pull, dtype=self.dtype)
        except SapoLiteError as error:
            raise SapoLiteError(f"{cell.name}: {error}") from None


def run_cell(
    recipe: Recipe,
    path: Path,
    others: Iterable[Path],
    to_file: Callable[[TextIO], RunProgress],
    data: Path | None = None,
    *,
    pull: bool = False,
    dtype: str | None = None,
) -> float:
    """Run a recipe in the folder `path`, or resume its run there.

    others: run folders, from which pieces that would be the same are copied
    to_file: returns a progress display that writes to a file, here one in the run folder
    dtype: number format of all these runs, if their recipe leaves it open

    Returns the seconds that this call took; 0 if the run was already finished.

    Raises:
        SapoLiteError: as in a run; also if the folder holds a run of other settings.
    """
    start = time.perf_counter()
    with RunFolder(path) as folder, chatter_to(path / LOG):
        bind(folder, recipe, load_run_tasks(recipe.sequence, data), dtype)
        if is_finished(path):
            return 0.0
        copy_pieces(path, others)
        forget_peaks()
        with (path / SHOWN).open("a", encoding="utf-8", buffering=1) as file:
            progress = to_file(file)
            with shortage_noticed(progress.notice):
                run(recipe, folder, progress, data, pull=pull)
    return time.perf_counter() - start


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
