"""`sapo-lite compare`."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sapo_lite.cli.options import OUTPUT, Data, DryRun, Offline, Plain, Pull, Settings
from sapo_lite.cli.terminal import display, interruptible, wide_console
from sapo_lite.errors import RecipeError
from sapo_lite.support.disk import writing_to
from sapo_lite.support.shipped import typed_path

if TYPE_CHECKING:
    from sapo_lite.compare.comparison import Comparison
    from sapo_lite.compare.executors.place import Place
    from sapo_lite.compare.plan import Plan

_GRID = "Grid"
_WHERE = "Where"

_What = Annotated[
    list[str],
    typer.Argument(metavar="RECIPE|FOLDER", help="A recipe to run; or finished runs and comparisons."),
]
_Strategies = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,C",
        help="Strategies to compare; the first is the baseline.",
        show_default="fixed,sapo",
        rich_help_panel=_GRID,
    ),
]
_Adapters = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,C",
        help="Adapter methods to compare them on.",
        show_default="the recipe's",
        rich_help_panel=_GRID,
    ),
]
_Seeds = Annotated[
    str | None,
    typer.Option(
        metavar="N", help="Number of seeds, or which seeds: 0-4,7.", show_default="5", rich_help_panel=_GRID
    ),
]
_Draw = Annotated[
    bool,
    typer.Option(
        "--draw", help="Draw the order of the tasks and the examples by the seed, too.", rich_help_panel=_GRID
    ),
]
_Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of runs at a time.",
        show_default="1; on a cluster, all that there is room for",
        rich_help_panel=_WHERE,
    ),
]
_On = Annotated[
    str,
    typer.Option(
        metavar="PLACE",
        help="Where to run: local, ray, ray://HOST:PORT, slurm, or slurm:KEY=VALUE,... (docs/comparing.md).",
        rich_help_panel=_WHERE,
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the comparison to write to.",
        metavar="FOLDER",
        parser=typed_path,
        show_default="runs/compare-RECIPE-SETTINGS",
        rich_help_panel=OUTPUT,
    ),
]
_TestWith = Annotated[
    str | None,
    typer.Option(
        metavar="STRATEGY",
        help="Test all runs with the prompts that this strategy chose, too (sets evaluation.matrix).",
        rich_help_panel=_GRID,
    ),
]
_Prompts = Annotated[
    Literal["chosen", "original", "unseen", "other"] | None,
    typer.Option(
        help="Kind of test prompts to show.",
        show_default="the first kind tested with",
        rich_help_panel=OUTPUT,
    ),
]
_Format = Annotated[
    Literal["text", "markdown", "latex", "csv", "json"],
    typer.Option("--format", help="Format of the tables on stdout.", rich_help_panel=OUTPUT),
]


def compare(
    what: _What,
    strategies: _Strategies = None,
    adapters: _Adapters = None,
    seeds: _Seeds = None,
    draw: _Draw = False,
    test_with: _TestWith = None,
    jobs: _Jobs = None,
    on: _On = "local",
    settings: Settings = None,
    out: _Out = None,
    data: Data = None,
    pull: Pull = False,
    prompts: _Prompts = None,
    form: _Format = "text",
    dry_run: DryRun = False,
    offline: Offline = False,
    plain: Plain = False,
) -> None:
    """Strategies and adapters side by side over seeds: run them, or read finished runs."""
    if len(what) > 1 or not _is_recipe(what[0]):
        for_a_recipe: dict[str, object] = {"strategies": strategies, "adapters": adapters, "seeds": seeds}
        for_a_recipe |= {"draw": draw, "set": settings, "out": out, "data": data, "pull": pull}
        for_a_recipe |= {"dry-run": dry_run, "test-with": test_with}
        _refuse(for_a_recipe, what)
        from sapo_lite.compare.comparison import compare_folders

        _print(compare_folders([typed_path(name) for name in what], prompts), form)
        return
    from sapo_lite.compare.grid import make_grid

    strategies, seeds = strategies or "fixed,sapo", seeds or "5"
    grid = make_grid(
        what[0],
        settings or (),
        strategies=strategies,
        adapters=adapters,
        seeds=seeds,
        draw=draw,
        test_with=test_with,
    )
    # Imported only here: it imports torch, which takes seconds.
    from sapo_lite.compare.executors.place import read_place
    from sapo_lite.compare.plan import make_plan

    place = read_place(on)
    plan = make_plan(grid, out, data)
    if dry_run:
        _print_plan(plan)
    else:
        _print(_run(plan, place, jobs, prompts, pull=pull, plain=plain), form)


def _is_recipe(name: str) -> bool:
    """Whether a name means a recipe: a shipped one, a TOML file, or a typo, which load_recipe reports."""
    from sapo_lite.recipe import shipped_recipes

    if name in {path.stem for path in shipped_recipes()} or name.endswith(".toml"):
        return True
    return not typed_path(name).is_dir() and os.sep not in name


def _refuse(for_a_recipe: Mapping[str, object], folders: Sequence[str]) -> None:
    """Raises RecipeError if an option for a recipe is given together with folders."""
    if given := [f"--{name}" for name, value in for_a_recipe.items() if value]:
        raise RecipeError(
            f"{', '.join(given)}: expected one recipe to run, found the folders {', '.join(folders)}"
        )


def _print_plan(plan: "Plan") -> None:
    from sapo_lite.report.plan_view import comparison_plan

    wide_console(sys.stdout).print(comparison_plan(plan))


def _run(
    plan: "Plan", place: "Place", jobs: int | None, prompts: str | None, *, pull: bool, plain: bool
) -> "Comparison":
    from sapo_lite.compare import execution
    from sapo_lite.compare.folders import comparison_folder
    from sapo_lite.compare.progress import GridProgress
    from sapo_lite.report.compare_live import LiveGrid, PlainGrid
    from sapo_lite.report.console import ForeignConsole
    from sapo_lite.report.export import write_comparison
    from sapo_lite.report.html.comparison_page import write_comparison_report
    from sapo_lite.report.html.run_page import write_run_report
    from sapo_lite.report.plain import plain_file
    from sapo_lite.run.paths import LOG, REPORT
    from sapo_lite.support.library_logs import chatter_to

    console = ForeignConsole(sys.stderr)
    execution.check(plan, place, jobs, prompts)
    title = f"compare {plan.grid.name}"
    with (
        writing_to(plan.out),
        interruptible("the same command goes on where it stopped"),
        comparison_folder(plan.out, plan.grid),
    ):
        execution.begin(plan)
        with display(title, plain) as progress, chatter_to(plan.out / LOG):
            for note in plan.notes:
                progress.notice(note)
            execution.make_candidates(plan, progress, pull=pull)
        cells = GridProgress(plan)
        live = console.is_terminal and not plain
        with LiveGrid(cells, console, title) if live else PlainGrid(cells, console) as watcher:
            execution.run_cells(plan, place, jobs, watcher, plain_file, pull=pull)
        comparison = execution.conclude(plan, prompts)
        write_comparison(comparison, plan.out)
        write_comparison_report(comparison, plan.out)
        for folder in plan.folders.values():
            if not (folder.path / REPORT).exists():
                write_run_report(folder.path)
        return comparison


def _print(comparison: "Comparison", form: str) -> None:
    from sapo_lite.report.comparison_view import as_markdown, as_text
    from sapo_lite.report.export import as_csv, as_json, to_text
    from sapo_lite.report.latex import as_latex

    if form == "text":
        wide_console(sys.stdout).print(as_text(comparison))
    else:
        as_written = {"markdown": as_markdown, "latex": as_latex, "csv": as_csv}
        write = as_written.get(form) or (lambda found: to_text(as_json(found)))
        typer.echo(write(comparison), nl=False)
