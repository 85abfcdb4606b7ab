"""`sapo-lite compare`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from sapo_lite.cli.terminal import display, interruptible, wide_console
from sapo_lite.errors import SapoLiteError

if TYPE_CHECKING:
    from sapo_lite.comparing.comparison import Comparison
    from sapo_lite.comparing.plan import Plan

Kind = Literal["chosen", "original", "unseen"]


def compare(
    what: Annotated[
        list[str],
        typer.Argument(metavar="RECIPE|FOLDER...", help="A recipe to run; or finished runs and comparisons."),
    ],
    strategies: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="The first is the baseline.", show_default="fixed,sapo"),
    ] = None,
    adapters: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Base methods.", show_default="the recipe's")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N", help="How many; or a list: 0-4,7.", show_default="5")
    ] = None,
    draw: Annotated[
        bool, typer.Option("--draw", help="Seeds draw the order of tasks and the examples, too.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time, on a CPU.")] = 1,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting; repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Its folder.", show_default="runs/compare-RECIPE-SETTINGS")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder that holds SUPERNI/ or TRACE/.", show_default="$SAPO_LITE_DATA"),
    ] = None,
    pull: Annotated[
        bool, typer.Option("--pull", help="Have Ollama fetch the paraphrasing model if it lacks it.")
    ] = False,
    prompts: Annotated[
        Kind | None, typer.Option(help="What tasks were tested with.", show_default="the first there is")
    ] = None,
    form: Annotated[
        Literal["text", "markdown", "csv", "json"], typer.Option("--format", help="Of the tables on stdout.")
    ] = "text",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the grid; load no model.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines instead of a live display.")] = False,
) -> None:
    """Strategies and adapters side by side over seeds: run them, or read finished runs."""
    options = {"--strategies": strategies, "--adapters": adapters, "--seeds": seeds, "--out": out}
    if _are_folders(what, options | {"--set": settings, "--draw": draw, "--dry-run": dry_run}):
        from sapo_lite.comparing.command import compare_folders

        _print(compare_folders([Path(name) for name in what], prompts), form)
        return
    from sapo_lite.comparing.grid import make_grid
    from sapo_lite.comparing.plan import as_table, make_plan

    grid = make_grid(
        what[0],
        settings or [],
        strategies=strategies or "fixed,sapo",
        adapters=adapters,
        seeds=seeds or "5",
        draw=draw,
    )
    plan = make_plan(grid, out, data)
    if dry_run:
        wide_console(sys.stdout).print(as_table(plan))
    else:
        _print(_run(plan, jobs, prompts, pull=pull, plain=plain), form)


def _are_folders(what: list[str], options: dict[str, object]) -> bool:
    """Whether finished runs are meant. Raises SapoLiteError if that does not fit the other options."""
    from sapo_lite.recipe import shipped_recipes

    if len(what) == 1 and (
        what[0] in {path.stem for path in shipped_recipes()} or not Path(what[0]).is_dir()
    ):
        return False
    if given := [name for name, value in options.items() if value]:
        raise SapoLiteError(f"{', '.join(given)}: expected one recipe to run, found {', '.join(what)}")
    return True


def _run(plan: "Plan", jobs: int, prompts: Kind | None, *, pull: bool, plain: bool) -> "Comparison":
    from sapo_lite.comparing import command
    from sapo_lite.comparing.live import LiveGrid, PlainGrid
    from sapo_lite.comparing.places import comparison_folder
    from sapo_lite.comparing.progress import Progress
    from sapo_lite.quiet import chatter_to

    command.check(plan, jobs, prompts)
    title, console = f"comparing on {plan.grid.name}", Console(file=sys.stderr)
    with (
        interruptible("the same command goes on where it stopped"),
        comparison_folder(plan.out, plan.grid),
    ):
        command.begin(plan)
        with display(title, plain) as show, chatter_to(plan.out / "log.txt"):
            command.make_candidates(plan, show, pull=pull)
        progress = Progress(plan, jobs)
        live = console.is_terminal and not plain
        with LiveGrid(progress, console, title) if live else PlainGrid(progress, console) as watcher:
            command.run_cells(plan, jobs, watcher, pull=pull)
        return command.conclude(plan, prompts)


def _print(comparison: "Comparison", form: str) -> None:
    from sapo_lite.comparing.export import as_csv, as_json, to_text
    from sapo_lite.comparing.tables import as_markdown, as_text

    if form == "text":
        wide_console(sys.stdout).print(as_text(comparison))
    else:
        write = {"markdown": as_markdown, "csv": as_csv, "json": lambda c: to_text(as_json(c))}[form]
        typer.echo(write(comparison), nl=False)
