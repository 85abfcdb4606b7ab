"""`sapo-lite data`."""

import typer

from sapo_lite.cli.data_check import check
from sapo_lite.cli.data_fetch import fetch
from sapo_lite.cli.data_show import show

data_app = typer.Typer(help="Look at the data of a recipe, check it, fetch it.", no_args_is_help=True)
data_app.command()(show)
data_app.command()(check)
data_app.command()(fetch)
