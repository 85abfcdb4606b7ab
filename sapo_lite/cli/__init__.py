"""The command line. The only place that prints errors; nothing heavy is imported before it is needed."""

import os
from typing import Annotated

import typer
from rich.console import Console

from sapo_lite import __version__
from sapo_lite.cli.compare_command import compare
from sapo_lite.cli.paraphrase_command import paraphrase
from sapo_lite.cli.recipes_command import recipes_app
from sapo_lite.cli.run_command import run
from sapo_lite.cli.score_command import score
from sapo_lite.errors import SapoLiteError

app = typer.Typer(
    name="sapo-lite",
    help="Prompt-aware continual fine-tuning on one GPU: learn tasks in a row, choosing for each the "
    "wording of its instruction that forgets least (SAPO, State-Adaptive Prompt Optimization).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command()(compare)
app.command()(paraphrase)
app.command()(score)
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
