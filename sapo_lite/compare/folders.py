"""Run folders of the cells of a grid, and their states.

A cell is a folder in that of the comparison, or a finished run beside it. Its state is derived from the run
folder; nothing else is stored. sapo_lite.run.paths names the files.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from sapo_lite.compare.grid import Cell, Grid
from sapo_lite.data.fingerprint import data_fingerprint
from sapo_lite.errors import RunFolderError
from sapo_lite.recipe import Recipe, SequenceConfig
from sapo_lite.run.binding import Inputs, changed_inputs, is_run, require_recipe
from sapo_lite.run.finished import finished_beside, identity
from sapo_lite.run.inputs import chosen_format, inputs_of
from sapo_lite.run.lock import is_empty, locked
from sapo_lite.run.paths import COMPARISON
from sapo_lite.run.results import is_finished
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.support.checked_json import read_checked
from sapo_lite.support.messages import quoted
from sapo_lite.types import Task

State = Literal["finished", "begun", "new"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class CellFolder:
    """The run folder of a cell.

    notes: sentences about folders that are not reused, with the reason
    """

    path: Path
    state: State
    notes: tuple[str, ...] = ()


def load_tasks(grid: Grid, data: Path | None) -> dict[Cell, list[Task]]:
    """Load the tasks of every cell. Raises DataError or RecipeError as in a run."""

    @cache
    def load(sequence: SequenceConfig) -> list[Task]:
        return load_run_tasks(sequence, data)

    return {cell: load(recipe.sequence) for cell, recipe in grid.recipes.items()}


def find_folders(grid: Grid, tasks: Mapping[Cell, list[Task]], out: Path) -> dict[Cell, CellFolder]:
    """Find the run folder of every cell.

    A cell that is new in `out` may reuse a finished run of the same settings, data and inputs: beside `out`,
    or in another comparison there. A cell whose model or candidates have changed since it was run gets a
    second folder. All cells have one number format: that of the first run found, if the recipe leaves it
    open.

    Raises:
        RunFolderError: a cell's folder holds a run of another recipe or other data.
    """
    elsewhere = finished_beside(out)
    # Cells share lists of tasks, and a fingerprint takes a while: one for each list.
    prints = {id(own): data_fingerprint(own) for own in {id(own): own for own in tasks.values()}.values()}
    begun = (chosen_format(out / cell.name) for cell in grid.recipes)
    chosen = next(filter(None, begun), Inputs())
    found = {}
    for cell, recipe in grid.recipes.items():
        data, inputs = prints[id(tasks[cell])], inputs_of(recipe, tasks[cell]) | chosen
        folder = _own_folder(out, cell, recipe, data, inputs)
        if folder.state == "new":
            folder = _twin(elsewhere.get(identity(recipe.resolved(), data), {}), inputs, folder)
        chosen = chosen or chosen_format(folder.path)
        found[cell] = folder
    return found


def _own_folder(out: Path, cell: Cell, recipe: Recipe, data: Mapping[str, str], inputs: Inputs) -> CellFolder:
    """The cell's folder in that of the comparison; with a hash in its name if the first has other inputs."""
    path = out / cell.name
    notes: tuple[str, ...] = ()
    if changed := _changed(path, recipe, data, inputs):
        notes = (_not_reused(path, changed),)
        digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        path = out / f"{cell.name}-{digest[:8]}"
        _changed(path, recipe, data, inputs)  # checks the recipe; the inputs are those in its name
    if not is_run(path):
        return CellFolder(path, "new", notes)
    return CellFolder(path, "finished" if is_finished(path) else "begun", notes)


def _twin(runs: Mapping[Path, Inputs], inputs: Inputs, own: CellFolder) -> CellFolder:
    """The folder of a finished run with these inputs, else the cell's `own`.

    runs: inputs of finished runs with the cell's settings and data, by folder
    """
    others = {path: changed_inputs(theirs, inputs) for path, theirs in runs.items()}
    for path, changed in others.items():
        if not changed:
            return replace(own, path=path, state="finished")
    return replace(own, notes=(*own.notes, *(_not_reused(*other) for other in others.items())))


def _not_reused(path: Path, changed: Sequence[str]) -> str:
    return f"{path} is not reused: {', '.join(changed)}"


def _changed(path: Path, recipe: Recipe, data: Mapping[str, str], inputs: Inputs) -> list[str]:
    """Sentences about inputs that have changed since the run in a folder; empty if there is no run.

    Raises:
        RunFolderError: the run is of another recipe or other data.
    """
    if not is_run(path):
        return []
    fix = "Choose another folder for the comparison with --out, or delete this one."
    return changed_inputs(require_recipe(path, recipe.resolved(), data, fix).inputs, inputs)


@contextlib.contextmanager
def comparison_folder(out: Path, grid: Grid) -> Iterator[None]:
    """Lock the folder of a comparison, and make it if it is missing.

    Raises:
        RunFolderError: the folder is in use, or holds another comparison or anything else.
    """
    check_folder(out, grid)
    with locked(out):
        yield


# For a damaged comparison.json: without it the folder is not known to be of this grid.
_ELSEWHERE = "Choose another folder beside this one with --out: finished runs are copied."


def check_folder(out: Path, grid: Grid) -> None:
    """Check that the folder is missing, empty, or of this grid.

    Raises:
        RunFolderError: it holds another comparison (the message names the differences) or anything else.
    """
    if (out / COMPARISON).exists():
        before, now = read_checked(out / COMPARISON, _ELSEWHERE)["settings"], grid.settings
        found = [
            f"{key}: {quoted(before.get(key))} there, {quoted(now.get(key))} now"
            for key in {**before, **now}
            if before.get(key) != now.get(key)
        ]
        if found:
            raise RunFolderError(
                f"{out} holds another comparison:\n  " + "\n  ".join(found) + "\n"
                "Choose another folder with --out, or leave it out to have one named by the settings."
            )
        return
    if not is_empty(out):
        what = "a run folder" if is_run(out) else "not a comparison's folder"
        raise RunFolderError(f"{out} exists and is {what}. Choose a new or an empty folder for --out.")
