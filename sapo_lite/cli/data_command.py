"""`sapo-lite data`."""

import typer

from sapo_lite.cli.data_show import show

data_app = typer.Typer(help="Look at the data of a recipe, check it, fetch it.", no_args_is_help=True)
data_app.command()(show)
