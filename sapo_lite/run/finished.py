"""Finished runs that were made elsewhere, by what they are of: settings, data and inputs."""

import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sapo_lite.errors import RunFolderError
from sapo_lite.run.binding import Inputs, changed_inputs, read_binding
from sapo_lite.run.paths import LOCK, runs_finished


def finished_beside(out: Path) -> dict[str, dict[Path, Inputs]]:
    """Inputs of finished runs beside `out`, and one level below: `identity` -> folder -> inputs.

    Runs in `out` itself are not among them.
    """
    out = out.absolute()
    runs: dict[str, dict[Path, Inputs]] = {}
    for path in (path for path in runs_finished(out.parent) if path.parent != out):
        with contextlib.suppress(OSError, RunFolderError):  # not a run of ours, or of another version
            run = read_binding(path)
            runs.setdefault(identity(run.recipe, run.data), {})[path] = run.inputs
    return runs


def identity(recipe: Mapping[str, Any], data: Mapping[str, str]) -> str:
    """Settings and data as one string, without the run's name, which changes no result."""
    return json.dumps([{**recipe, "name": None}, data], sort_keys=True)


def copy_finished(
    path: Path,
    runs: Mapping[str, Mapping[Path, Inputs]],
    recipe: Mapping[str, Any],
    data: Mapping[str, str],
    inputs: Inputs,
) -> Path | None:
    """Copy the first of the runs that has this recipe, data and inputs to `path`, unless that is there.

    Returns the folder that was copied, or None.
    """
    same = runs.get(identity(recipe, data), {})
    source = next((found for found, theirs in same.items() if not changed_inputs(theirs, inputs)), None)
    if source is None or path.exists():
        return None
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, ignore=shutil.ignore_patterns(LOCK))
    partial.rename(path)
    return source
