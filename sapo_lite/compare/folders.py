"""Where the cells of a grid are, and how far: in the comparison's own folder, or finished runs beside it.

What is finished is read from the run folders alone; sapo_lite.run.paths names their files.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from sapo_lite.compare.grid import Cell, Grid
from sapo_lite.data.fingerprint import data_fingerprint
from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import RunFolderError
from sapo_lite.recipe import Recipe, SequenceConfig
from sapo_lite.run.binding import Inputs, changed_inputs, is_run, read_binding, require_recipe
from sapo_lite.run.inputs import inputs_of
from sapo_lite.run.lock import is_empty, locked
from sapo_lite.run.paths import COMPARISON, runs_finished
from sapo_lite.run.results import is_finished
from sapo_lite.support.files import read_json
from sapo_lite.support.messages import quoted
from sapo_lite.types import Task

State = Literal["finished", "begun", "new"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class CellFolder:
    """The run folder of a cell. `notes` say which other folders are not reused, and why."""

    path: Path
    state: State
    notes: tuple[str, ...] = ()


def load_tasks(grid: Grid, data: Path | None) -> dict[Cell, list[Task]]:
    """The tasks of every cell. Raises DataError as a run does."""

    @cache
    def load(sequence: SequenceConfig) -> list[Task]:
        return load_sequence(sequence, data)

    return {cell: load(recipe.sequence) for cell, recipe in grid.recipes.items()}


def find_folders(grid: Grid, tasks: Mapping[Cell, list[Task]], out: Path) -> dict[Cell, CellFolder]:
    """Where every cell is. One that was never begun here may be a finished run beside `out`, or in another
    comparison there: a run of the same settings, data and inputs.

    A cell that was run here with a model or candidates that are others now has a second folder.

    Raises:
        RunFolderError: a cell's folder holds a run of something else.
    """
    elsewhere = _finished_beside(out)
    # Most cells have one list of tasks; its fingerprint takes a while.
    prints = {id(own): data_fingerprint(own) for own in {id(own): own for own in tasks.values()}.values()}
    found = {}
    for cell, recipe in grid.recipes.items():
        data, inputs = prints[id(tasks[cell])], inputs_of(recipe)
        folder = _own_folder(out, cell, recipe, data, inputs)
        if folder.state == "new":
            folder = _twin(elsewhere.get(_key(recipe.resolved(), data), {}), inputs, folder)
        found[cell] = folder
    return found


def _own_folder(out: Path, cell: Cell, recipe: Recipe, data: Mapping[str, str], inputs: Inputs) -> CellFolder:
    """The cell's folder in the comparison's own; another one beside it, if that is of other inputs."""
    path = out / cell.name
    notes: tuple[str, ...] = ()
    if changed := _changed(path, recipe, data, inputs):
        notes = (_not_reused(path, changed),)
        digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        path = out / f"{cell.name}-{digest[:8]}"
        _changed(path, recipe, data, inputs)  # its inputs have not: they are in its name
    if not is_run(path):
        return CellFolder(path, "new", notes)
    return CellFolder(path, "finished" if is_finished(path) else "begun", notes)


def _twin(runs: Mapping[Path, Inputs], inputs: Inputs, own: CellFolder) -> CellFolder:
    """A finished run with these inputs, of those with the settings and data of a cell; else its own."""
    others = {path: changed_inputs(theirs, inputs) for path, theirs in runs.items()}
    for path, changed in others.items():
        if not changed:
            return replace(own, path=path, state="finished")
    return replace(own, notes=(*own.notes, *(_not_reused(*other) for other in others.items())))


def _not_reused(path: Path, changed: Sequence[str]) -> str:
    return f"{path} is not reused: {', '.join(changed)}"


def _finished_beside(out: Path) -> dict[str, dict[Path, Inputs]]:
    """Inputs of run folders outside of `out`, in the order of their names, by settings and data."""
    out = out.absolute()
    runs: dict[str, dict[Path, Inputs]] = {}
    for path in (path for path in runs_finished(out.parent) if path.parent != out):
        with contextlib.suppress(OSError, RunFolderError):  # not a run of ours, or of another version
            run = read_binding(path)
            runs.setdefault(_key(run.recipe, run.data), {})[path] = run.inputs
    return runs


def _key(recipe: Mapping[str, Any], data: Mapping[str, str]) -> str:
    """The name of a run decides nothing in it."""
    return json.dumps([{**recipe, "name": None}, data], sort_keys=True)


def _changed(path: Path, recipe: Recipe, data: Mapping[str, str], inputs: Inputs) -> list[str]:
    """What inputs of the run in a folder are others now; nothing if there is no run.

    Raises RunFolderError if the run is of another recipe.
    """
    if not is_run(path):
        return []
    fix = "Choose another folder for the comparison with --out, or delete this one."
    return changed_inputs(require_recipe(path, recipe.resolved(), data, fix).inputs, inputs)


@contextlib.contextmanager
def comparison_folder(out: Path, grid: Grid) -> Iterator[None]:
    """Make and lock the folder of a comparison, or the one that it goes on in.

    Raises:
        RunFolderError: it is in use, or holds something else, or another comparison; names what differs.
    """
    check_folder(out, grid)
    with locked(out):
        yield


def check_folder(out: Path, grid: Grid) -> None:
    """Raises RunFolderError if the folder cannot be that of the grid."""
    if (out / COMPARISON).exists():
        before, now = read_json(out / COMPARISON)["settings"], grid.settings
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
