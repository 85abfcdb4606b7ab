"""The command line. The only place that prints errors; nothing heavy is imported before it is needed."""

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from sapo_lite import __version__
from sapo_lite.errors import SapoLiteError

if TYPE_CHECKING:
    from sapo_lite.display import LiveDisplay, PlainDisplay
    from sapo_lite.recipe import Recipe

app = typer.Typer(
    name="sapo-lite",
    help="Prompt-aware continual fine-tuning on one GPU: learn tasks in a row, choosing for each the "
    "wording of its instruction that forgets least (SAPO, State-Adaptive Prompt Optimization).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
recipes_app = typer.Typer(help="List, show or copy the shipped recipes.", invoke_without_command=True)
app.add_typer(recipes_app, name="recipes")


def main() -> None:
    """Entry point of the installed command and of cli.py."""
    # OpenMP threads that spin while they wait cost several times the work on a machine that has
    # anything else to do. Read when torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        app()
    except SapoLiteError as error:
        console = Console(stderr=True, soft_wrap=True, highlight=False)
        console.print(f"error: {error}", style="red", markup=False)
        raise SystemExit(1) from None


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sapo-lite {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A path to a TOML file, or the name of a shipped recipe.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting; repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder [default: runs/RECIPE-TIME].")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder that holds SUPERNI/ or TRACE/ [default: $SAPO_LITE_DATA].")
    ] = None,
    resume: Annotated[
        bool | None,
        typer.Option("--resume/--fresh", help="Go on with the latest run, or discard what --out holds."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; load no model.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines instead of a live display.")] = False,
) -> None:
    """Learn a sequence of tasks as a recipe says, and report what was learned and forgotten."""
    from sapo_lite.recipe import load_recipe

    loaded = load_recipe(recipe, settings or [])
    if dry_run:
        _print_plan(loaded, data)
    else:
        _run(loaded, out=out, data=data, resume=resume, plain=plain)


def _print_plan(recipe: "Recipe", data: Path | None) -> None:
    from sapo_lite.summary import plan
    from sapo_lite.tasks import load_sequence

    Console().print(plan(recipe, load_sequence(recipe.sequence, data)))


def _run(recipe: "Recipe", *, out: Path | None, data: Path | None, resume: bool | None, plain: bool) -> None:
    from sapo_lite.quiet import chatter_to
    from sapo_lite.rundir import RunFolder, choose_folder

    path = choose_folder(recipe.name, out, resume=resume)
    stdout = Console()
    with (
        RunFolder(path, fresh=resume is False) as folder,
        _resume_hint(path),
        _display(recipe.name, plain) as show,
        chatter_to(path / "log.txt"),
    ):
        show.stage("starting")
        from sapo_lite.pipeline import run as run_pipeline

        results = run_pipeline(recipe, folder, show, data)
        usage = folder.usage
    from sapo_lite.summary import summary

    stdout.print(summary(results, usage, path))


def _display(title: str, plain: bool) -> "LiveDisplay | PlainDisplay":
    from sapo_lite.display import LiveDisplay, PlainDisplay

    if plain or not sys.stderr.isatty():
        return PlainDisplay(Console(file=sys.stderr, no_color=True, force_terminal=False, width=110))
    return LiveDisplay(Console(file=sys.stderr), title)


@contextlib.contextmanager
def _resume_hint(path: Path) -> Iterator[None]:
    """Ctrl-C ends with how to go on rather than with a traceback."""

    def interrupt(number: int, frame: object) -> None:
        # Python drops an exception that strikes in a destructor or a callback: raise it until it holds.
        signal.setitimer(signal.ITIMER_REAL, 3)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGALRM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\ninterrupted: the same command with --out {path} goes on where it stopped", err=True)
        raise typer.Exit(130) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@recipes_app.callback()
def recipes(context: typer.Context) -> None:
    """List the shipped recipes."""
    if context.invoked_subcommand:
        return
    from sapo_lite.recipe import describe, shipped_recipes

    table = Table(box=None, pad_edge=False, show_header=False)
    for path in shipped_recipes():
        table.add_row(f"[bold]{path.stem}[/]", describe(path))
    Console().print(table)


@recipes_app.command()
def show(name: Annotated[str, typer.Argument(help="Name of a shipped recipe.")]) -> None:
    """Print a shipped recipe."""
    from sapo_lite.recipe import recipe_text

    typer.echo(recipe_text(name), nl=False)


@recipes_app.command()
def copy(
    name: Annotated[str, typer.Argument(help="Name of a shipped recipe.")],
    path: Annotated[Path, typer.Argument(help="Where to write it; a folder keeps the name.")],
) -> None:
    """Copy a shipped recipe to edit it. An existing file is not overwritten."""
    from sapo_lite.recipe import find_recipe

    source = find_recipe(name)
    target = path / source.name if path.is_dir() else path
    if target.exists():
        raise SapoLiteError(f"{target} exists. Choose another path, or delete it first.")
    shutil.copyfile(source, target)
    typer.echo(f"{target}: run it with `sapo-lite run {target}`", err=True)
