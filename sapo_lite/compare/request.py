"""What the command line of `sapo-lite compare` means."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sapo_lite.compare.grid import make_grid
from sapo_lite.errors import SapoLiteError
from sapo_lite.recipe import shipped_recipes
from sapo_lite.support.shipped import typed_path

if TYPE_CHECKING:
    from sapo_lite.compare.plan import Plan

_FOR_A_RECIPE = ("strategies", "adapters", "seeds", "draw", "set", "out", "data", "pull", "dry_run")


@dataclass(frozen=True)
class Request:
    """The command line; None and empty where an option is not given. `prompts` is the kind to be shown."""

    what: tuple[str, ...]
    strategies: str | None = None
    adapters: str | None = None
    seeds: str | None = None
    draw: bool = False
    set: tuple[str, ...] = ()
    out: Path | None = None
    data: Path | None = None
    pull: bool = False
    jobs: int = 1
    prompts: str | None = None
    dry_run: bool = False

    @cached_property
    def folders(self) -> list[Path]:
        """Folders of runs and comparisons to be read; none where a recipe is to be run.

        Raises:
            SapoLiteError: an option was given that is for a recipe.
        """
        if len(self.what) == 1 and _is_recipe(self.what[0]):
            return []
        if given := [f"--{name.replace('_', '-')}" for name in _FOR_A_RECIPE if getattr(self, name)]:
            raise SapoLiteError(
                f"{', '.join(given)}: expected one recipe to run, found the folders {', '.join(self.what)}"
            )
        return [typed_path(name) for name in self.what]

    def plan(self) -> "Plan":
        """Raises SapoLiteError for anything that a user can put right."""
        grid = make_grid(
            self.what[0],
            self.set,
            strategies=self.strategies or "fixed,sapo",
            adapters=self.adapters,
            seeds=self.seeds or "5",
            draw=self.draw,
        )
        # Seconds: it brings torch.
        from sapo_lite.compare.plan import make_plan

        return make_plan(grid, self.out, self.data)


def _is_recipe(name: str) -> bool:
    """A shipped recipe's name or a TOML file; or a slip of the pen, which recipes know better how to tell."""
    if name in {path.stem for path in shipped_recipes()} or name.endswith(".toml"):
        return True
    return not typed_path(name).is_dir() and os.sep not in name
