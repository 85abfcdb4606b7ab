"""The programme of measurements: a grid of runs, and the probed transitions of some of them."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapo_lite.compare.grid import Cell, Grid, make_grid
from sapo_lite.errors import RecipeError
from sapo_lite.recipe import Recipe
from sapo_lite.recipe.seeds import seed_list

HERE = Path(__file__).resolve().parent
SETTINGS = HERE / "settings.toml"
RESULTS = HERE / "results"

# The baseline of all differences. On this adapter, its states are those that are probed.
BASELINE, PROBED_ADAPTER = "fixed", "lorainc"


@dataclass(frozen=True)
class Transition:
    """The step of a seed's sequence from `learned` tasks to one more, taken with every candidate."""

    seed: int
    learned: int

    @property
    def name(self) -> str:
        return f"probe-{self.seed}-after-{self.learned}"

    @property
    def base(self) -> Cell:
        """The run whose states are probed."""
        return Cell(BASELINE, PROBED_ADAPTER, self.seed)


Item = Cell | Transition


@dataclass(frozen=True)
class Programme:
    """Runs and transitions. With `only` "probe", the grid has only the probed runs.

    permutations: of the test on probes
    rates: amounts of work per second of one thread (settings.toml)
    out: folder of the run folders and of the transitions' folders
    """

    grid: Grid
    transitions: tuple[Transition, ...]
    permutations: int
    rates: dict[str, float]
    out: Path
    data: Path | None
    only: str | None

    @property
    def cells(self) -> list[Cell]:
        return list(self.grid.recipes)

    def recipe(self, item: Item) -> Recipe:
        return self.grid.recipes[item if isinstance(item, Cell) else item.base]

    def folder(self, item: Item) -> Path:
        return self.out / item.name


def read_settings(path: Path = SETTINGS) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def make_programme(
    settings: dict[str, Any],
    out: Path,
    *,
    recipe: str | None = None,
    seeds: str | None = None,
    overrides: Sequence[str] = (),
    data: Path | None = None,
    only: str | None = None,
) -> Programme:
    """The programme of a settings file, changed by options of the command line.

    Raises:
        RecipeError: the frozen settings are to be changed on other seeds than those for tuning; or a
            setting does not fit the recipe.
    """
    numbers = seed_list(seeds or settings["seeds"])
    if recipe or overrides:
        _require_tuning(numbers, settings["tuning_seeds"])
    probe = settings["probe"]
    probed = numbers[: probe["seeds"]]
    strategies, adapters = settings["strategies"], settings["adapters"]
    if strategies[0] != BASELINE or PROBED_ADAPTER not in adapters:
        raise RecipeError(
            f"settings: expected {BASELINE!r} as the first strategy and {PROBED_ADAPTER!r} among the "
            f"adapters, found strategies {', '.join(strategies)} and adapters {', '.join(adapters)}"
        )
    grid = make_grid(
        recipe or settings["recipe"],
        [*settings["settings"], *overrides],
        strategies=BASELINE if only == "probe" else ",".join(strategies),
        adapters=PROBED_ADAPTER if only == "probe" else ",".join(adapters),
        seeds=probed if only == "probe" else numbers,
        draw=True,
    )
    learned = () if only == "sequences" else probe["learned"]
    transitions = tuple(Transition(seed, count) for seed in probed for count in learned)
    _check(grid, transitions)
    return Programme(grid, transitions, probe["permutations"], settings["rates"], out, data, only)


def _require_tuning(seeds: Sequence[int], tuning: str) -> None:
    if strange := sorted(set(seeds) - set(seed_list(tuning))):
        raise RecipeError(
            f"--set and --recipe: expected seeds for tuning ({tuning}), found "
            f"{', '.join(map(str, strange))}. Settings are chosen on those and written to settings.toml; "
            "all other seeds run with what is written there."
        )


def _check(grid: Grid, transitions: Sequence[Transition]) -> None:
    """Raises RecipeError before the first run starts."""
    recipe = next(iter(grid.recipes.values()))
    if recipe.evaluation.prompts != "all":
        raise RecipeError(f'evaluation.prompts: expected "all", found "{recipe.evaluation.prompts}"')
    tasks = len(recipe.sequence.tasks)
    if (most := max((transition.learned for transition in transitions), default=0)) >= tasks:
        raise RecipeError(
            f"probe.learned: expected fewer than the {tasks} tasks of {grid.spec}, found {most}"
        )
