"""What there is to run: cells of strategy x adapter x seed, and transitions to probe."""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapo_lite.compare import grid
from sapo_lite.compare.grid import seed_list
from sapo_lite.errors import RecipeError
from sapo_lite.recipe import Recipe, load_recipe

HERE = Path(__file__).resolve().parent
SETTINGS = HERE / "settings.toml"
RESULTS = HERE / "results"

# The cell of a seed that others start from: its zero-shot row is theirs, and its states are probed.
BASE_STRATEGY, BASE_ADAPTER = "fixed", "lorainc"


class Cell(grid.Cell):
    """One ordinary run of `sapo_lite.run.pipeline.run`."""

    @property
    def base(self) -> "Cell":
        return Cell(BASE_STRATEGY, BASE_ADAPTER, self.seed)


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
        return Cell(BASE_STRATEGY, BASE_ADAPTER, self.seed)


@dataclass(frozen=True)
class Plan:
    """The whole programme. `settings` are those of the file and then those of the command line."""

    recipe: str
    settings: tuple[str, ...]
    seeds: tuple[int, ...]
    strategies: tuple[str, ...]
    adapters: tuple[str, ...]
    probe_seeds: int
    learned: tuple[int, ...]
    permutations: int
    rates: dict[str, float]
    out: Path
    data: Path | None = None
    only: str | None = None

    @property
    def cells(self) -> list[Cell]:
        """All runs, base cells included where only probes were asked for."""
        if self.only == "probe":
            return [Cell(BASE_STRATEGY, BASE_ADAPTER, seed) for seed in self.seeds[: self.probe_seeds]]
        return [Cell(s, a, seed) for seed in self.seeds for a in self.adapters for s in self.strategies]

    @property
    def transitions(self) -> list[Transition]:
        if self.only == "sequences":
            return []
        return [
            Transition(seed, learned) for seed in self.seeds[: self.probe_seeds] for learned in self.learned
        ]

    def overrides(self, cell: Cell) -> list[str]:
        """All settings of a cell beyond its recipe: a seed draws the order of the tasks and the examples
        here, candidates and initial weights by itself."""
        tasks = load_recipe(self.recipe, self.settings).sequence.tasks
        return [*self.settings, *grid.cell_settings(cell, tasks)]

    def load(self, cell: Cell) -> Recipe:
        return load_recipe(self.recipe, self.overrides(cell))

    def folder(self, item: Cell | Transition) -> Path:
        return self.out / item.name

    def command(self, cell: Cell) -> str:
        """The command line that repeats a cell."""
        return grid.run_command(self.recipe, self.overrides(cell))


def read_settings(path: Path = SETTINGS) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def make_plan(
    settings: dict[str, Any],
    out: Path,
    *,
    recipe: str | None = None,
    seeds: str | None = None,
    overrides: Sequence[str] = (),
    data: Path | None = None,
    only: str | None = None,
) -> Plan:
    """The plan of a settings file, changed by options of the command line.

    Raises:
        RecipeError: the frozen settings are to be changed on other seeds than those for tuning; or a
            setting does not fit the recipe.
    """
    wanted = seed_list(seeds or settings["seeds"])
    strange = sorted(set(wanted) - set(seed_list(settings["tuning_seeds"])))
    if strange and (overrides or recipe):
        raise RecipeError(
            f"--set and --recipe: expected seeds for tuning ({settings['tuning_seeds']}), found "
            f"{', '.join(map(str, strange))}. Settings are chosen on those and written to settings.toml; "
            "all other seeds run with what is written there."
        )
    plan = Plan(
        recipe=recipe or settings["recipe"],
        settings=tuple(_last_of_each([*settings["settings"], *overrides])),
        seeds=wanted,
        strategies=tuple(settings["strategies"]),
        adapters=tuple(settings["adapters"]),
        probe_seeds=settings["probe"]["seeds"],
        learned=tuple(settings["probe"]["learned"]),
        permutations=settings["probe"]["permutations"],
        rates=settings["rates"],
        out=out,
        data=data,
        only=only,
    )
    _check(plan)
    return plan


def _check(plan: Plan) -> None:
    """Raises RecipeError: better now than in the middle of the night."""
    if BASE_STRATEGY not in plan.strategies or BASE_ADAPTER not in plan.adapters:
        raise RecipeError(
            f"settings: expected {BASE_STRATEGY!r} on {BASE_ADAPTER!r} among the cells, found strategies "
            f"{', '.join(plan.strategies)} and adapters {', '.join(plan.adapters)}"
        )
    for cell in plan.cells[: len(plan.adapters) * len(plan.strategies)]:
        recipe = plan.load(cell)
        if recipe.evaluation.prompts != "all":
            raise RecipeError(f'evaluation.prompts: expected "all", found "{recipe.evaluation.prompts}"')
    if plan.transitions and max(plan.learned) >= len(recipe.sequence.tasks):
        raise RecipeError(
            f"probe.learned: expected fewer than the {len(recipe.sequence.tasks)} tasks of {plan.recipe}, "
            f"found {max(plan.learned)}"
        )


def _last_of_each(overrides: Iterable[str]) -> list[str]:
    """One override a key: the last one."""
    return list({override.partition("=")[0]: override for override in overrides}.values())
