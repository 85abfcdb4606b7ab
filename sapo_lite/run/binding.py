"""Identity of a run folder, in its `recipe.json`: the recipe, the data, and the inputs that a run reads."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict

from sapo_lite.errors import RunFolderError
from sapo_lite.recipe import differences
from sapo_lite.run import paths
from sapo_lite.support.checked_json import write_checked
from sapo_lite.support.typed_json import read_typed
from sapo_lite.types import Task

# Hashes of the inputs besides recipe and data: name of the input ("the model Qwen/Qwen3-8B") -> its part ->
# hash. An input without hashes was not on the disk yet.
Inputs = dict[str, dict[str, str]]

FRESH = "Use the recipe it was made with, another --out, or --fresh to discard these results."


@dataclass(frozen=True, kw_only=True)
class Binding:
    """The resolved recipe, fingerprints of the data by task, and hashes of the inputs.

    tasks: those of the run without their examples: how each is asked. Empty in runs of earlier versions
    format: version of the whole run folder; other versions are refused
    made: SHA-256 of the run's first files (chat.json, candidates), which all others depend on
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    format: int = 3  # 1, without this number: before stages had one record; 2: before checksums
    recipe: dict[str, Any]
    data: dict[str, str]
    inputs: Inputs
    made: dict[str, str] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)


def is_run(path: Path) -> bool:
    """Whether the folder holds a run, finished or not."""
    return (path / paths.RECIPE).exists()


def instead_of_a_run(path: Path) -> str:
    """What is found at a path where a run was expected, with what to do if that is a comparison."""
    if (path / paths.COMPARISON).exists():
        runs = sorted(file.parent.name for file in path.glob(f"*/{paths.RECIPE}"))
        return "a comparison; name one of its runs" + (f", such as {path / runs[0]}" if runs else "")
    return "a folder of something else" if path.is_dir() else "no such folder"


def is_ours(path: Path) -> bool:
    """Whether the folder's recipe.json is that of a run, or a damaged one beside what else a run makes."""
    try:
        content = json.loads((path / paths.RECIPE).read_text(encoding="utf-8"))
    except ValueError:
        return (path / paths.CANDIDATES).is_dir() or (path / paths.ZERO_SHOT).is_dir()
    return isinstance(content, dict) and {"recipe", "data"} <= content.keys()


def read_binding(path: Path) -> Binding:
    """Read the binding of the run in the folder `path`.

    Raises:
        RunFolderError: the file is damaged, or of another version.
    """
    return read_typed(path / paths.RECIPE, Binding, "Start over with --fresh.", version="format")


def write_binding(path: Path, binding: Binding) -> None:
    write_checked(path / paths.RECIPE, asdict(binding))


def changed_inputs(before: Inputs, now: Inputs) -> list[str]:
    """A sentence for each input that has changed; inputs that are or were unknown are skipped."""
    found = []
    for what, parts in now.items():
        old = before.get(what)
        if parts and old:
            names = [name for name in {**old, **parts} if old.get(name) != parts.get(name)]
            found += [f"{what} has changed ({', '.join(names)})"] if names else []
    return found


def require_recipe(
    path: Path, recipe: Mapping[str, Any], data: Mapping[str, str], fix: str = FRESH
) -> Binding:
    """Read the binding of a folder, and check that it has this resolved recipe and these data.

    Raises:
        RunFolderError: recipe or data differ; the message names the differences and ends with `fix`.
    """
    before = read_binding(path)
    found = differences(before.recipe, dict(recipe))
    found += [f"the data of {task} has changed" for task in data if data[task] != before.data.get(task)]
    if found:
        raise RunFolderError(f"{path} holds results of another recipe:\n  " + "\n  ".join(found) + f"\n{fix}")
    return before


def require_same(path: Path, recipe: Mapping[str, Any], data: Mapping[str, str], inputs: Inputs) -> Binding:
    """Like `require_recipe`; also checks the inputs that are known both then and now.

    Raises:
        RunFolderError: recipe, data or an input differs.
    """
    before = require_recipe(path, recipe, data)
    if changed := changed_inputs(before.inputs, inputs):
        raise RunFolderError(
            f"{path} holds results that are not of what the recipe names now:\n  "
            + "\n  ".join(changed)
            + "\nUse what it was made with, another --out, or --fresh to discard these results."
        )
    return before
