"""Grid of a comparison: the cells strategy x adapter x seed of one recipe, and the run of each."""

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sapo_lite.errors import RecipeError
from sapo_lite.learning.methods import METHODS
from sapo_lite.prompts.strategies import STRATEGIES
from sapo_lite.recipe import Recipe, flat, load_recipe
from sapo_lite.recipe.seeds import seed_settings, seeds_of
from sapo_lite.support.messages import nearest, one_of, quoted

# Settings that differ between cells, and the option that sets them.
_BY_OPTION = {"seed": "--seeds", "prompt.strategy": "--strategies", "adapter.method": "--adapters"}


@dataclass(frozen=True)
class Cell:
    """One run of a comparison, named by its strategy, adapter and seed."""

    strategy: str
    adapter: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.strategy}-{self.adapter}-{self.seed}"


@dataclass(frozen=True)
class Grid:
    """The cells of a recipe.

    spec: recipe name or path, as typed
    draw: whether the seed also draws the order of the tasks, and the examples for training and testing
    recipes: resolved recipe of each cell
    overrides: settings `section.key=value` of each cell, which make its recipe from `spec`
    test_with: strategy whose choices the other cells of the same adapter and seed are also tested with
    """

    spec: str
    strategies: tuple[str, ...]
    adapters: tuple[str, ...]
    seeds: tuple[int, ...]
    draw: bool
    recipes: dict[Cell, Recipe]
    overrides: dict[Cell, tuple[str, ...]]
    test_with: str | None = None

    @property
    def name(self) -> str:
        return next(iter(self.recipes.values())).name

    @property
    def notices(self) -> list[str]:
        """Sentences about settings that the recipes changed by themselves."""
        return list(dict.fromkeys(notice for recipe in self.recipes.values() for notice in recipe.notices))

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that all cells share, by `section.key`. They identify the comparison."""
        own = {"name", *_BY_OPTION} | ({"sequence.draw", "sequence.tasks"} if self.draw else set())
        own |= {"evaluation.other_run"} if self.test_with else set()
        if any(recipe.wants_candidates for recipe in self.recipes.values()):
            own.add("paraphrase.always")  # set where it is needed, which depends on the strategies
        first, *others = (flat(recipe.resolved()) for recipe in self.recipes.values())
        common = {k: v for k, v in first.items() if k not in own and all(o[k] == v for o in others)}
        common |= {"test_with": self.test_with} if self.test_with else {}
        drawn = {"sequence.tasks": sorted(first["sequence.tasks"]), "sequence.draw": "seed"}
        return common | drawn if self.draw else common

    @property
    def digest(self) -> str:
        """Hash of the settings, eight hex digits, for the name of the comparison's folder."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:8]

    def tested_with(self, cell: Cell) -> Cell | None:
        """The cell whose chosen prompts this one is also tested with.

        None without `test_with`, for cells of that strategy, and if nothing is trained.
        """
        if self.test_with in (None, cell.strategy) or not METHODS[cell.adapter].trains:
            return None
        return Cell(str(self.test_with), cell.adapter, cell.seed)

    def with_other_runs(self, folders: Mapping[Cell, Path]) -> "Grid":
        """The grid with evaluation.other_run in its cells: the folder of the cell in `tested_with`."""
        recipes, overrides = dict(self.recipes), dict(self.overrides)
        for cell in self.recipes:
            if (other := self.tested_with(cell)) is not None:
                path = folders[other]
                recipes[cell], overrides[cell] = self._naming(cell, path)
                if recipes[cell].evaluation.other_folder() != path.absolute():
                    # The recipe file has a folder of this relative path beside it.
                    recipes[cell], overrides[cell] = self._naming(cell, path.absolute())
        return replace(self, recipes=recipes, overrides=overrides)

    def _naming(self, cell: Cell, other: Path) -> tuple[Recipe, tuple[str, ...]]:
        """Recipe and overrides of a cell, with evaluation.other_run."""
        setting = f"evaluation.other_run={json.dumps(str(other), ensure_ascii=False)}"
        overrides = (*self.overrides[cell], setting)
        return load_recipe(self.spec, overrides), overrides

    def command(self, cell: Cell, data: Path | None = None) -> str:
        return run_command(self.spec, self.overrides[cell], data)


def make_grid(
    spec: str,
    settings: Sequence[str],
    *,
    strategies: str,
    adapters: str | None,
    seeds: str | Sequence[int],
    draw: bool = False,
    test_with: str | None = None,
) -> Grid:
    """Make the grid of a recipe.

    settings: overrides `section.key=value` for all cells
    strategies, adapters, seeds: as on the command line; without `adapters`, the adapter of the recipe
    test_with: one of the strategies, whose prompts all cells are tested with; it sets evaluation.matrix

    If strategies have different default numbers of held-out paraphrases, all get the largest: the candidates
    are then the same for all. If some cells need candidates and others do not, all have them: inputs are cut
    to fit the longest one, so all cells of a seed read the same inputs.

    Raises:
        RecipeError: an unknown name, or a setting that does not fit the recipe or one of the cells.
    """
    _refuse_own(settings, draw, test_with)
    ways = _names("--strategies", strategies, tuple(STRATEGIES))
    if test_with is not None:
        _require_among(test_with, ways)
        settings = [*settings, "evaluation.matrix=true"]
    # With the first strategy, not the recipe's own: some settings are allowed with one strategy only.
    base = load_recipe(spec, [*settings, f"prompt.strategy={ways[0]}"])
    methods = (base.adapter.method,) if adapters is None else _names("--adapters", adapters, tuple(METHODS))
    numbers = seeds_of(seeds) if isinstance(seeds, str) else tuple(seeds)
    cells = _cells(ways, methods, numbers)
    tasks = base.sequence.tasks if draw else None
    overrides = {cell: (*settings, *cell_settings(cell, tasks)) for cell in cells}
    recipes = {cell: load_recipe(spec, overrides[cell]) for cell in cells}
    held_out = {recipe.paraphrase.held_out for recipe in recipes.values()}
    if len(held_out) > 1:
        extra = f"paraphrase.held_out={max(held_out)}"
        overrides = {cell: (*own, extra) for cell, own in overrides.items()}
        recipes = {cell: load_recipe(spec, own) for cell, own in overrides.items()}
    for cell in _to_fit(recipes):
        overrides[cell] = (*overrides[cell], "paraphrase.always=true")
        recipes[cell] = load_recipe(spec, overrides[cell])
    return Grid(spec, ways, methods, numbers, draw, recipes, overrides, test_with)


def _to_fit(recipes: Mapping[Cell, Recipe]) -> list[Cell]:
    """Cells that need candidates only to have their inputs cut as those of the other cells."""
    without = [cell for cell, recipe in recipes.items() if not recipe.wants_candidates]
    model = next(iter(recipes.values())).model
    one_budget = model.cut == "right" or model.max_instruction_tokens is not None
    return [] if one_budget or len(without) == len(recipes) else without


def _cells(strategies: Sequence[str], adapters: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
    """All cells, seed by seed. A method that trains nothing has one cell a seed, with the first strategy."""
    found = []
    for seed in seeds:
        found += [Cell(s, a, seed) for a in adapters if METHODS[a].trains for s in strategies]
        found += [Cell(strategies[0], a, seed) for a in adapters if not METHODS[a].trains]
    return found


def cell_settings(cell: Cell, drawn: Sequence[str] | None = None) -> list[str]:
    """Overrides that make a cell from a recipe.

    drawn: tasks of the sequence, if the seed draws their order and examples
    """
    strategy, adapter = f"prompt.strategy={cell.strategy}", f"adapter.method={cell.adapter}"
    return [*seed_settings(cell.seed, drawn), strategy, adapter]


def run_command(recipe: str, settings: Iterable[str], data: Path | None = None) -> str:
    """The command line that repeats a run."""
    words = ["sapo-lite", "run", recipe]
    words += [word for setting in settings for word in ("--set", setting)]
    return shlex.join([*words, *(["--data", str(data)] if data else [])])


def _names(option: str, text: str, choices: Sequence[str]) -> tuple[str, ...]:
    """Names separated by commas.

    Raises:
        RecipeError: a name is unknown (the message has the nearest one), or there twice.
    """
    names = [name.strip() for name in text.split(",")]
    for place, name in enumerate(names):
        if name not in choices:
            close = nearest(name, choices)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            expected = one_of(map(quoted, choices))
            raise RecipeError(f"{option}: expected {expected}, found {quoted(name)}{hint}")
        if name in names[:place]:
            raise RecipeError(f"{option}: expected different names, found {quoted(name)} twice")
    return tuple(names)


def _require_among(test_with: str, strategies: Sequence[str]) -> None:
    if test_with not in strategies:
        expected = one_of(map(quoted, strategies))
        raise RecipeError(f"--test-with: expected {expected} (--strategies), found {quoted(test_with)}")


def _refuse_own(settings: Sequence[str], draw: bool, test_with: str | None) -> None:
    options = _BY_OPTION | ({"sequence.draw": "--draw"} if draw else {})
    options |= (
        {"evaluation.matrix": "--test-with", "evaluation.other_run": "--test-with"} if test_with else {}
    )
    for setting in settings:
        if option := options.get(setting.partition("=")[0].strip()):
            raise RecipeError(f"--set {setting}: expected a setting that all cells share; use {option}")
