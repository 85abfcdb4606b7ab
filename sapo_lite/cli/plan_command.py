"""`sapo-lite plan`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sapo_lite.cli.options import Data, Offline, Plain, Settings
from sapo_lite.cli.terminal import wide_console, working
from sapo_lite.errors import DataError, RecipeError
from sapo_lite.support.foreign_text import escaped_json

if TYPE_CHECKING:
    from sapo_lite.recipe import Recipe
    from sapo_lite.run.costs.predict import Costs
    from sapo_lite.types import Task

_Recipe = Annotated[str, typer.Argument(help="A path to a TOML file, or the name of a shipped recipe.")]
_Vram = Annotated[
    float | None,
    typer.Option(min=0.5, metavar="GB", help="Memory of the GPU to plan for.", show_default="this machine's"),
]
_Card = Annotated[
    str | None,
    typer.Option(metavar="NAME", help='GPU to plan for, such as "RTX 4060".', show_default="this machine"),
]
_Probe = Annotated[
    bool, typer.Option("--probe", help="Load the model here, and measure its speed in three training steps.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of tables.")]


def plan(
    recipe: _Recipe,
    settings: Settings = None,
    data: Data = None,
    vram: _Vram = None,
    card: _Card = None,
    probe: _Probe = False,
    as_json: _Json = False,
    offline: Offline = False,
    plain: Plain = False,
) -> None:
    """Predict memory, time and disk of a run before anything large is downloaded, and whether it fits.

    The exit status is 1 if it does not fit.
    """
    # Made before `working` redirects stdout, which libraries write to.
    console = wide_console(sys.stdout)
    notes: list[str] = []
    with working(f"plan {recipe}", plain, then="nothing was written") as progress:
        from sapo_lite.recipe import load_recipe

        loaded = load_recipe(recipe, settings or [])
        progress.stage("reading data")
        tasks = _tasks(loaded, data, notes)
        from sapo_lite.run.costs.machine import planned_machine
        from sapo_lite.run.costs.predict import costs_of
        from sapo_lite.run.costs.probe import probe as measured

        machine = planned_machine(card, vram)
        if probe and not machine.here:
            raise RecipeError(
                f"--probe measures this machine, and the plan is for {machine.name}. Leave one of them out."
            )
        if probe:
            progress.stage("measuring speed")
        rates = measured(loaded, tasks) if probe and tasks else None
        progress.stage("reading the model's configuration")
        costs = costs_of(loaded, tasks, machine, notes.append, rates)
    if as_json:
        typer.echo(escaped_json(json.dumps(_content(costs, notes), indent=2, ensure_ascii=False)))
    else:
        from sapo_lite.report.costs_view import costs_view

        console.print(costs_view(loaded, costs))
        for note in notes:
            console.print(f"note: {note}")
    raise typer.Exit(0 if costs.fits else 1)


def _tasks(recipe: "Recipe", data: Path | None, notes: list[str]) -> "list[Task] | None":
    """The recipe's tasks; None if they are those of a suite whose data are not here."""
    from sapo_lite.run.tasks import load_run_tasks

    try:
        return load_run_tasks(recipe.sequence, data, notes.append)
    except DataError as error:
        if recipe.sequence.task or data is not None:
            raise
        reason = str(error).splitlines()[0].split(" Looked in")[0]
        notes.append(f"rows are as long as the recipe allows, work and time are not counted: {reason}")
        return None


def _content(costs: "Costs", notes: list[str]) -> dict[str, object]:
    return {**asdict(costs), "peak": costs.peak, "seconds": costs.seconds, "notes": notes}
