"""What `sapo-lite compare` does with a recipe: its grid is run to the end, and compared."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from sapo_lite.compare.cells import run_cell
from sapo_lite.compare.comparison import TIME, Comparison, require_kind
from sapo_lite.compare.executors.local import Watcher, Workers, do_all
from sapo_lite.compare.findings import grouped
from sapo_lite.compare.grid import Cell
from sapo_lite.compare.plan import Plan
from sapo_lite.compare.read import other_candidates, read_run
from sapo_lite.compare.reuse import can_lend, pieces
from sapo_lite.errors import SapoLiteError
from sapo_lite.model.load import load_backbone
from sapo_lite.prompts.sources import SOURCES, kind_of
from sapo_lite.recipe import Recipe
from sapo_lite.report.comparison_view import as_markdown
from sapo_lite.report.export import as_json
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.inputs import bind
from sapo_lite.run.paths import COMPARISON, COMPARISON_TEXT, WORKERS_LOG
from sapo_lite.run.pipeline import paraphrase
from sapo_lite.run.usage import Usage
from sapo_lite.support.files import write_json
from sapo_lite.support.progress import Display


def check(plan: Plan, jobs: int, kind: str | None) -> None:
    """Raises SapoLiteError for what would not work in the end; better now than in the middle of the night."""
    require_kind(kind, next(iter(plan.grid.recipes.values())).evaluation.kinds)
    if jobs > 1 and torch.cuda.is_available():
        raise SapoLiteError(
            f"--jobs {jobs}: expected 1 on a machine with CUDA, whose memory is for one backbone at a time. "
            "Leave out --jobs, or hide the device with CUDA_VISIBLE_DEVICES=''."
        )


def begin(plan: Plan) -> None:
    """Write down what the comparison is: it is told by this from another one."""
    cells = [
        {"strategy": cell.strategy, "adapter": cell.adapter, "seed": cell.seed}
        | {"folder": os.path.relpath(place.path, plan.out), "command": plan.command(cell)}
        for cell, place in plan.places.items()
    ]
    content = {"recipe": plan.grid.name, "settings": plan.grid.settings, "runs": cells}
    write_json(plan.out / COMPARISON, content)


def make_candidates(plan: Plan, show: Display, *, pull: bool) -> None:
    """The candidates of all cells, before any backbone is in memory: on one card, no two models are.

    Where the backbone itself paraphrases, a cell makes its own when it has loaded it.

    Raises:
        SapoLiteError: as a run does.
    """
    for cell in plan.unfinished:
        recipe, tasks = plan.grid.recipes[cell], plan.tasks[cell]
        wanted = "candidates" in pieces(recipe.resolved()).keys() - plan.lenders[cell].keys()
        if not wanted or any(SOURCES[kind_of(name)].backbone for name in recipe.paraphrase.backend):
            continue
        with RunFolder(plan.places[cell].path) as folder:
            bind(folder, recipe, tasks)
            with Usage(folder).measure("paraphrase"):
                paraphrase(recipe, tasks, folder, show, partial(load_backbone, recipe.model), pull=pull)


def run_cells(plan: Plan, jobs: int, watcher: Watcher[Cell], *, pull: bool) -> None:
    """Run every cell that is not finished, each when what it copies from another is there.

    Raises:
        SapoLiteError: what a cell raised; those after it were not begun.
    """
    unfinished = plan.unfinished

    def ready(cell: Cell, finished: Collection[Cell]) -> bool:
        return all(
            lender not in unfinished or lender in finished or can_lend(plan.places[lender].path, piece)
            for piece, lender in plan.lenders[cell].items()
        )

    threads = torch.get_num_threads() // jobs if jobs > 1 and "OMP_NUM_THREADS" not in os.environ else None
    log, fresh = plan.out / WORKERS_LOG, torch.cuda.is_available()
    workers = Workers(jobs, log, partial(_prepare, threads), fresh=fresh)
    paths = {cell: place.path for cell, place in plan.places.items()}
    do_all(unfinished, _Runner(plan.grid.recipes, paths, plan.data, pull), workers, watcher, ready)


def _prepare(threads: int | None) -> None:
    """With one job, a worker has as many threads as a run by itself: sums then have the same order."""
    if threads is not None:
        torch.set_num_threads(max(1, threads))


@dataclass(frozen=True)
class _Runner:
    """Runs a cell in a worker process."""

    recipes: dict[Cell, Recipe]
    paths: dict[Cell, Path]
    data: Path | None
    pull: bool

    def __call__(self, cell: Cell) -> float:
        try:
            return run_cell(
                self.recipes[cell], self.paths[cell], self.paths.values(), self.data, pull=self.pull
            )
        except SapoLiteError as error:
            raise SapoLiteError(f"{cell.name}: {error}") from None


def conclude(plan: Plan, kind: str | None) -> Comparison:
    """Compare the cells, all of which are finished, and write the comparison's files."""
    runs = [read_run(place.path, plan.command(cell)) for cell, place in plan.places.items()]
    notes = [*plan.grid.notices, *plan.notes]
    notes += [f"{cell.name} is {path}, which was finished before" for cell, path in plan.borrowed.items()]
    notes += [*filter(None, [other_candidates(runs)]), TIME]
    kind = kind or next(iter(runs[0].values))
    grid = plan.grid
    comparison = Comparison(grid.name, grid.settings, runs, grouped(runs), kind, plan.out, notes)
    write_json(plan.out / COMPARISON, as_json(comparison))
    (plan.out / COMPARISON_TEXT).write_text(as_markdown(comparison), encoding="utf-8")
    return comparison
