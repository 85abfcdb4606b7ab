"""The run of one cell, in a worker process. It is an ordinary run, with a folder from which it resumes."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from sapo_lite.compare.grid import Cell
from sapo_lite.compare.reuse import copy_pieces
from sapo_lite.errors import SapoLiteError
from sapo_lite.model.notices import noticed
from sapo_lite.recipe import Recipe
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.inputs import bind
from sapo_lite.run.paths import LOG, SHOWN
from sapo_lite.run.pipeline import run
from sapo_lite.run.progress import RunProgress
from sapo_lite.run.results import is_finished
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.run.usage import forget_peaks
from sapo_lite.support.library_logs import chatter_to


@dataclass(frozen=True)
class CellRunner:
    """Runs a cell of a comparison; can be sent to another process.

    recipes, paths: recipe and run folder of each cell
    data: folder of the suites, as in a run
    dtype: number format of all cells, if their recipe leaves it open
    to_file: returns a progress display that writes to a file
    """

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

    @contextlib.contextmanager
    def prepared(self, cell: Cell) -> Iterator[Path]:
        """The locked folder of a cell that runs elsewhere, with what can be copied from other cells."""
        with RunFolder(self.paths[cell]) as folder:
            _prepare(folder, self.recipes[cell], self.paths.values(), self.data, self.dtype)
            yield folder.path


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
        _prepare(folder, recipe, others, data, dtype)
        if is_finished(path):
            return 0.0
        forget_peaks()
        with (path / SHOWN).open("a", encoding="utf-8", buffering=1) as file:
            progress = to_file(file)
            with noticed(progress.notice):
                run(recipe, folder, progress, data, pull=pull)
    return time.perf_counter() - start


def _prepare(
    folder: RunFolder, recipe: Recipe, others: Iterable[Path], data: Path | None, dtype: str | None
) -> None:
    """Bind the folder to the recipe, and copy pieces from other runs unless its run is finished."""
    bind(folder, recipe, load_run_tasks(recipe.sequence, data), dtype)
    if not is_finished(folder.path):
        copy_pieces(folder.path, others)
