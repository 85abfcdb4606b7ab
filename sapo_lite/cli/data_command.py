"""`sapo-lite data`."""

import typer

data_app = typer.Typer(help="Look at the data of a recipe, check it, fetch it.", no_args_is_help=True)
