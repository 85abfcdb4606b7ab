"""`sapo-lite recipes`."""

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from sapo_lite.cli.terminal import show as show_text
from sapo_lite.errors import SapoLiteError
from sapo_lite.report.console import ForeignConsole
from sapo_lite.support.shipped import typed_path

_Name = Annotated[str, typer.Argument(help="Name of a shipped recipe.")]

recipes_app = typer.Typer(help="List, show or copy the shipped recipes.", invoke_without_command=True)


@recipes_app.callback()
def recipes(context: typer.Context) -> None:
    """List the shipped recipes."""
    if context.invoked_subcommand:
        return
    from sapo_lite.recipe import describe, shipped_recipes

    table = Table(box=None, pad_edge=False, show_header=False)
    for path in shipped_recipes():
        table.add_row(Text(path.stem, style="bold"), describe(path))
    ForeignConsole(sys.stdout).print(table)


@recipes_app.command()
def show(name: _Name) -> None:
    """Print a shipped recipe."""
    from sapo_lite.recipe import recipe_text

    show_text(recipe_text(name).removesuffix("\n"))


@recipes_app.command()
def schema() -> None:
    """Print the JSON schema of recipes: with it, an editor completes keys and marks faults."""
    from sapo_lite.recipe.schema import recipe_schema

    typer.echo(json.dumps(recipe_schema(), indent=1, ensure_ascii=False))


@recipes_app.command()
def copy(
    name: _Name,
    path: Annotated[
        Path,
        typer.Argument(help="File to write it to; in a folder it keeps its name.", parser=typed_path),
    ],
) -> None:
    """Copy a shipped recipe to edit it. An existing file is not overwritten."""
    from sapo_lite.recipe import find_recipe

    source = find_recipe(name)
    target = path / source.name if path.is_dir() else path
    if target.exists():
        raise SapoLiteError(f"{target} exists. Choose another path, or delete it first.")
    if not target.parent.is_dir():
        raise SapoLiteError(f"{target}: expected the name of a file in a folder that exists.")
    shutil.copyfile(source, target)
    show_text(f"{target}: run it with `sapo-lite run {target}`", err=True)
