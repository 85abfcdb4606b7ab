"""Where the cells of a grid are, and how far: in the comparison's own folder, or finished runs beside it.

    runs/compare-lab-1a2b3c4d/
        comparison.json         settings, cells with their commands, and what came out
        comparison.md           the same for people, once all cells are finished
        fixed-lorainc-0/        a run folder for each cell
        workers.log             what libraries said past the log.txt of the runs

What is finished is read from the run folders alone.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from filelock import FileLock, Timeout

from sapo_lite.compare.grid import Cell, Grid
from sapo_lite.data.fingerprint import data_fingerprint
from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import RunFolderError
from sapo_lite.recipe import Recipe, SequenceConfig, differences
from sapo_lite.run.folder import Inputs, changed_inputs
from sapo_lite.run.inputs import inputs_of
from sapo_lite.support.files import read_json
from sapo_lite.support.leftovers import remove_leftovers
from sapo_lite.support.messages import quoted
from sapo_lite.types import Task

COMPARISON = "comparison.json"
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
    if not (path / "recipe.json").exists():
        return CellFolder(path, "new", notes)
    return CellFolder(path, "finished" if (path / "results.json").exists() else "begun", notes)


def _twin(runs: Mapping[Path, Inputs | None], inputs: Inputs, own: CellFolder) -> CellFolder:
    """A finished run with these inputs, of those with the settings and data of a cell; else its own."""
    others = {path: changed_inputs(theirs, inputs) for path, theirs in runs.items()}
    for path, changed in others.items():
        if not changed:
            return replace(own, path=path, state="finished")
    return replace(own, notes=(*own.notes, *(_not_reused(*other) for other in others.items())))


def _not_reused(path: Path, changed: Sequence[str]) -> str:
    return f"{path} is not reused: {', '.join(changed)}"


def _finished_beside(out: Path) -> dict[str, dict[Path, Inputs | None]]:
    """Inputs of run folders outside of `out`, in the order of their names, by settings and data."""
    parent = out.absolute().parent
    found = [file.parent for depth in ("*", "*/*") for file in parent.glob(f"{depth}/results.json")]
    runs: dict[str, dict[Path, Inputs | None]] = {}
    for path in sorted(path for path in found if path.parent != out.absolute()):
        with contextlib.suppress(OSError, RunFolderError, KeyError, TypeError):  # not a run of ours
            run = read_json(path / "recipe.json")
            runs.setdefault(_key(run["recipe"], run["data"]), {})[path] = run.get("inputs")
    return runs


def _key(recipe: Mapping[str, Any], data: Mapping[str, str]) -> str:
    """The name of a run decides nothing in it."""
    return json.dumps([{**recipe, "name": None}, data], sort_keys=True)


def _changed(path: Path, recipe: Recipe, data: Mapping[str, str], inputs: Inputs) -> list[str]:
    """What inputs of the run in a folder are others now; nothing if there is no run.

    Raises RunFolderError if the run is of another recipe.
    """
    if not (path / "recipe.json").exists():
        return []
    before = read_json(path / "recipe.json")
    found = differences(before["recipe"], recipe.resolved())
    found += [f"the data of {task} has changed" for task in data if data[task] != before["data"].get(task)]
    if found:
        raise RunFolderError(
            f"{path} holds results of another recipe:\n  " + "\n  ".join(found) + "\n"
            "Choose another folder for the comparison with --out, or delete this one."
        )
    return changed_inputs(before.get("inputs"), inputs)


@contextlib.contextmanager
def comparison_folder(out: Path, grid: Grid) -> Iterator[None]:
    """Make and lock the folder of a comparison, or the one that it goes on in.

    Raises:
        RunFolderError: it is in use, or holds something else, or another comparison; names what differs.
    """
    check_folder(out, grid)
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunFolderError(
            f"{out} is in use by another sapo-lite process. Wait for it, stop it, or choose another folder "
            "with --out."
        ) from None
    try:
        remove_leftovers(out)
        yield
    finally:
        lock.release()


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
    empty = not out.exists() or (out.is_dir() and all(p.name.startswith(".") for p in out.iterdir()))
    if not empty:
        what = "a run folder" if (out / "recipe.json").exists() else "not a comparison's folder"
        raise RunFolderError(f"{out} exists and is {what}. Choose a new or an empty folder for --out.")
