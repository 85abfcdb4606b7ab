"""`sapo-lite runs`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from sapo_lite.cli.terminal import wide_console
from sapo_lite.support.shipped import typed_path

_Parent = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Folder of runs and comparisons.", parser=typed_path)
]


def runs(folder: _Parent = Path("runs")) -> None:
    """List the runs in a folder, those of comparisons too, with how far they are and what they reached."""
    from sapo_lite.report.looking_view import list_of_runs
    from sapo_lite.run.overview import find_runs

    wide_console(sys.stdout).print(list_of_runs(folder, *find_runs(folder)))
