"""`sapo-lite run`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sapo_lite.cli.terminal import display, interruptible, wide_console
from sapo_lite.support.shipped import typed_path

if TYPE_CHECKING:
    from sapo_lite.recipe import Recipe


def run(
    recipe: Annotated[str, typer.Argument(help="A path to a TOML file, or the name of a shipped recipe.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting; repeatable."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run folder to write to.",
            metavar="FOLDER",
            parser=typed_path,
            show_default="runs/RECIPE-TIME",
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
    resume: Annotated[
        bool | None,
        typer.Option("--resume/--fresh", help="Go on with the latest run, or discard what --out holds."),
    ] = None,
    pull: Annotated[
        bool, typer.Option("--pull", help="Have Ollama fetch the paraphrasing model if it lacks it.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; load no model.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines instead of a live display.")] = False,
) -> None:
    """Learn a sequence of tasks as a recipe says, and report what was learned and forgotten."""
    from sapo_lite.recipe import load_recipe

    loaded = load_recipe(recipe, settings or [])
    if dry_run:
        _print_plan(loaded, data)
    else:
        _run(loaded, out=out, data=data, resume=resume, pull=pull, plain=plain)


def _print_plan(recipe: "Recipe", data: Path | None) -> None:
    from sapo_lite.data.tasks import load_sequence
    from sapo_lite.report.plan_view import plan

    wide_console(sys.stdout).print(plan(recipe, load_sequence(recipe.sequence, data)))


def _run(
    recipe: "Recipe", *, out: Path | None, data: Path | None, resume: bool | None, pull: bool, plain: bool
) -> None:
    from sapo_lite.run.folder import RunFolder, choose_folder, read_usage
    from sapo_lite.run.paths import LOG
    from sapo_lite.run.start import finished_results
    from sapo_lite.support.library_logs import chatter_to

    path = choose_folder(recipe.name, out, resume=resume)
    fresh = resume is False
    stdout = wide_console(sys.stdout)
    results = None if fresh else finished_results(recipe, path, data)
    if results is None:
        with (
            RunFolder(path, fresh=fresh) as folder,
            interruptible(f"the same command with --out {path} goes on where it stopped"),
            display(recipe.name, plain) as show,
            chatter_to(path / LOG),
        ):
            show.stage("starting")
            from sapo_lite.run.pipeline import run as run_pipeline

            results = run_pipeline(recipe, folder, show, data, pull=pull)
    from sapo_lite.report.run_summary import summary

    stdout.print(summary(results, read_usage(path), path))
