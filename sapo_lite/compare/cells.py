"""One cell: an ordinary run, in a folder that resumes by itself, less what an equal run has done already."""

import time
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from sapo_lite.compare.reuse import borrow
from sapo_lite.data.tasks import load_sequence
from sapo_lite.recipe import Recipe
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.inputs import bind
from sapo_lite.run.paths import LOG, SHOWN
from sapo_lite.run.pipeline import run
from sapo_lite.run.results import is_finished
from sapo_lite.run.usage import forget_peaks
from sapo_lite.support.library_logs import chatter_to


def run_cell(
    recipe: Recipe, path: Path, donors: Iterable[Path], data: Path | None = None, *, pull: bool = False
) -> float:
    """Run a recipe in the folder `path`, or go on with it. What it would show goes to a file there.

    `donors` are folders of runs that may have something in common with it. Returns the seconds that this
    call took; 0 if the run was finished.

    Raises:
        SapoLiteError: as a run does; also where its folder holds a run of other settings.
    """
    start = time.perf_counter()
    with RunFolder(path) as folder, chatter_to(path / LOG):
        bind(folder, recipe, load_sequence(recipe.sequence, data))
        if is_finished(path):
            return 0.0
        borrow(path, donors)
        forget_peaks()
        with (path / SHOWN).open("a", encoding="utf-8", buffering=1) as shown:
            run(recipe, folder, PlainDisplay(Console(file=shown, width=110)), data, pull=pull)
    return time.perf_counter() - start
