"""`sapo-lite report`."""

from pathlib import Path
from typing import Annotated

import typer

from sapo_lite.errors import SapoLiteError
from sapo_lite.support.shipped import typed_path

_Folder = Annotated[
    Path,
    typer.Argument(
        metavar="RUN|COMPARISON", help="Folder of a finished run or comparison.", parser=typed_path
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(
        help="File to write to.", metavar="FILE", parser=typed_path, show_default="FOLDER/report.html"
    ),
]
_Figures = Annotated[
    Path | None,
    typer.Option(
        help="Folder to also write every figure to, as SVG, PDF and PNG. Needs matplotlib.",
        metavar="DIR",
        parser=typed_path,
    ),
]
_Open = Annotated[bool, typer.Option("--open", help="Show the report in the browser.")]


def report(folder: _Folder, out: _Out = None, figures: _Figures = None, browser: _Open = False) -> None:
    """Write the report of a finished run or comparison: one HTML file that loads nothing."""
    from sapo_lite.report.write_report import write_report

    try:
        path = write_report(folder, out)
    except OSError as error:
        raise SapoLiteError(f"{out or folder}: the report cannot be written ({error.strerror})") from None
    typer.echo(path)
    if figures is not None:
        from sapo_lite.report.figures.files import write_figures

        try:
            written = write_figures(folder, figures)
        except OSError as error:
            raise SapoLiteError(f"{figures}: figures cannot be written ({error.strerror})") from None
        for file in written:
            typer.echo(file)
    if browser:
        typer.launch(path.absolute().as_uri())
