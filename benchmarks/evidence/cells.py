"""One cell: an ordinary run, in a folder that resumes by itself, less what an equal run has done already.

Two things are equal between the cells of a seed, and are copied where the recipes say that they are:

- the zero-shot stage: nothing is trained, so neither strategy nor adapter matters (a LoRA whose B is zero
  adds exactly 0). The candidates, of which some are tested with, are copied along.
- the first task, between LoRAInc and O-LoRA: there is no past to be orthogonal to, so the penalty is 0.

tests/test_evidence.py compares such stages of runs that copied nothing, byte by byte.
"""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.evidence.plan import BASE_ADAPTER, Cell, Plan
from sapo_lite.display import PlainDisplay
from sapo_lite.pipeline import run
from sapo_lite.quiet import chatter_to
from sapo_lite.recipe import differences
from sapo_lite.rundir import RunFolder, read_json, write_json
from sapo_lite.tasks import data_fingerprint, load_sequence

_ALIKE_AT_FIRST = {"lorainc", "olora"}


def run_cell(plan: Plan, cell: Cell) -> float:
    """Run a cell, or go on with it. Returns the seconds that this call took; 0 if it was done.

    Raises:
        SapoLiteError: as a run does; also where its folder holds a run of other settings.
    """
    start = time.perf_counter()
    recipe, path = plan.load(cell), plan.folder(cell)
    with RunFolder(path) as folder, chatter_to(path / "log.txt"):
        folder.bind(
            recipe.resolved(), data_fingerprint(load_sequence(recipe.sequence, plan.data)), differences
        )
        if (path / "results.json").exists():
            return 0.0
        _borrow(plan, cell, path)
        cpu = time.process_time()
        with (path / "shown.txt").open("a", encoding="utf-8") as shown:
            run(recipe, folder, PlainDisplay(Console(file=shown, width=110)), plan.data)
        # Of the last call alone: what an interrupted one had spent is lost.
        write_json(path / "seconds.json", {"cpu": round(time.process_time() - cpu, 1)})
    return time.perf_counter() - start


def _borrow(plan: Plan, cell: Cell, path: Path) -> None:
    """Copy the stages that another cell has finished and that would come out the same."""
    if cell != cell.base:
        donor = plan.folder(cell.base)
        equal = _same_but_for(donor, path, {"prompt.strategy", "adapter.method"})
        if equal and (donor / "00-zero-shot" / "done").exists():
            _copy(donor / "candidates", path / "candidates")
            # An earlier call may have made its own, and not every source makes the same ones again.
            if _contents(donor / "candidates") == _contents(path / "candidates"):
                _copy(donor / "00-zero-shot", path / "00-zero-shot")
    if {cell.adapter, BASE_ADAPTER} == _ALIKE_AT_FIRST:
        donor = plan.folder(Cell(cell.strategy, BASE_ADAPTER, cell.seed))
        if _same_but_for(donor, path, {"adapter.method"}):
            for done in donor.glob("01-*/done"):
                if _contents(donor / "candidates") == _contents(path / "candidates"):
                    _copy(done.parent, path / done.parent.name)


def _same_but_for(donor: Path, path: Path, allowed: set[str]) -> bool:
    """Whether two run folders have the same data, and recipes that differ in these settings only."""
    if not (donor / "recipe.json").exists():
        return False
    theirs, ours = read_json(donor / "recipe.json"), read_json(path / "recipe.json")
    a, b = flat(theirs["recipe"]), flat(ours["recipe"])
    differing = {key for key in {**a, **b} if a.get(key) != b.get(key)}
    return theirs["data"] == ours["data"] and differing <= allowed


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by `section.key`."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _contents(folder: Path) -> dict[str, bytes]:
    """The JSON files of a folder, by name."""
    return {file.name: file.read_bytes() for file in folder.glob("[!.]*.json")}


def _copy(source: Path, target: Path) -> None:
    """Copy a folder so that a half-copied one is never taken for a whole one. One that is there stays."""
    if target.exists() or not source.exists():
        return
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    partial.rename(target)
