"""`sapo-lite compare`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from sapo_lite.cli.terminal import display, interruptible, wide_console
from sapo_lite.support.shipped import typed_path

if TYPE_CHECKING:
    from sapo_lite.compare.comparison import Comparison
    from sapo_lite.compare.request import Request


def compare(
    what: Annotated[
        list[str],
        typer.Argument(metavar="RECIPE|FOLDER", help="A recipe to run; or finished runs and comparisons."),
    ],
    strategies: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Strategies to compare; the first is the baseline.",
            show_default="fixed,sapo",
        ),
    ] = None,
    adapters: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C", help="Adapter methods to compare them on.", show_default="the recipe's"
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="N", help="Number of seeds, or which seeds: 0-4,7.", show_default="5"),
    ] = None,
    draw: Annotated[
        bool, typer.Option("--draw", help="Draw the order of the tasks and the examples by the seed, too.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Number of runs at a time, on a CPU.")] = 1,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting; repeatable."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the comparison to write to.",
            metavar="FOLDER",
            parser=typed_path,
            show_default="runs/compare-RECIPE-SETTINGS",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder that holds SUPERNI/ or TRACE/.",
            metavar="FOLDER",
            parser=typed_path,
            show_default="$SAPO_LITE_DATA",
        ),
    ] = None,
    pull: Annotated[
        bool, typer.Option("--pull", help="Have Ollama fetch the paraphrasing model if it lacks it.")
    ] = False,
    prompts: Annotated[
        Literal["chosen", "original", "unseen"] | None,
        typer.Option(help="Kind of test prompts to show.", show_default="the first kind tested with"),
    ] = None,
    form: Annotated[
        Literal["text", "markdown", "csv", "json"],
        typer.Option("--format", help="Format of the tables on stdout."),
    ] = "text",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the grid; load no model.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines instead of a live display.")] = False,
) -> None:
    """Strategies and adapters side by side over seeds: run them, or read finished runs."""
    from sapo_lite.compare.request import Request

    request = Request(
        what=tuple(what),
        strategies=strategies,
        adapters=adapters,
        seeds=seeds,
        draw=draw,
        set=tuple(settings or []),
        out=out,
        data=data,
        pull=pull,
        jobs=jobs,
        prompts=prompts,
        dry_run=dry_run,
    )
    if request.folders:
        _print(_read(request), form)
    elif dry_run:
        _print_plan(request)
    else:
        _print(_run(request, plain), form)


def _read(request: "Request") -> "Comparison":
    from sapo_lite.compare.comparison import compare_folders

    return compare_folders(request.folders, request.prompts)


def _print_plan(request: "Request") -> None:
    from sapo_lite.compare.plan import as_table

    wide_console(sys.stdout).print(as_table(request.plan()))


def _run(request: "Request", plain: bool) -> "Comparison":
    from sapo_lite.compare import command
    from sapo_lite.compare.places import comparison_folder
    from sapo_lite.compare.progress import Progress
    from sapo_lite.report.compare_live import LiveGrid, PlainGrid
    from sapo_lite.run.paths import LOG
    from sapo_lite.support.library_logs import chatter_to

    plan, console = request.plan(), Console(file=sys.stderr)
    command.check(plan, request.jobs, request.prompts)
    title = f"compare {plan.grid.name}"
    with (
        interruptible("the same command goes on where it stopped"),
        comparison_folder(plan.out, plan.grid),
    ):
        command.begin(plan)
        with display(title, plain) as show, chatter_to(plan.out / LOG):
            for note in plan.notes:
                show.notice(note)
            command.make_candidates(plan, show, pull=request.pull)
        progress = Progress(plan, request.jobs)
        live = console.is_terminal and not plain
        with LiveGrid(progress, console, title) if live else PlainGrid(progress, console) as watcher:
            command.run_cells(plan, request.jobs, watcher, pull=request.pull)
        return command.conclude(plan, request.prompts)


def _print(comparison: "Comparison", form: str) -> None:
    from sapo_lite.report.comparison_view import as_markdown, as_text
    from sapo_lite.report.export import as_csv, as_json, to_text

    if form == "text":
        wide_console(sys.stdout).print(as_text(comparison))
    else:
        write = {"markdown": as_markdown, "csv": as_csv, "json": lambda c: to_text(as_json(c))}[form]
        typer.echo(write(comparison), nl=False)
