"""The command line. Errors are printed here only; torch is imported only by commands that need it."""

import errno
import os
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from sapo_lite import __version__
from sapo_lite.cli.compare_command import compare
from sapo_lite.cli.data_command import data_app
from sapo_lite.cli.new_command import new
from sapo_lite.cli.paraphrase_command import paraphrase
from sapo_lite.cli.recipes_command import recipes_app
from sapo_lite.cli.run_command import run
from sapo_lite.cli.score_command import score
from sapo_lite.errors import GuardError, SapoLiteError

app = typer.Typer(
    name="sapo-lite",
    help="Prompt-aware continual fine-tuning on one GPU: learn tasks in a row, each with the wording of "
    "its instruction that has the lowest loss beforehand (SAPO, State-Adaptive Prompt Optimization).",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command()(new)
app.command()(compare)
app.command()(paraphrase)
app.command()(score)
app.add_typer(recipes_app, name="recipes")
app.add_typer(data_app, name="data")


def main() -> None:
    """Entry point of the installed command and of cli.py."""
    # OpenMP threads spin while they wait, which slows other processes on the machine several times. The
    # variable is read when torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        app()
    except SapoLiteError as error:
        _fail(str(error), 3 if isinstance(error, GuardError) else 1)
    except OSError as error:
        if error.filename is None and error.errno not in _FULL:
            raise
        _fail(_of_a_path(error))


def _fail(message: str, code: int = 1) -> NoReturn:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"error: {message}", style="red", markup=False)
    raise SystemExit(code)


_FULL = (errno.ENOSPC, errno.EDQUOT)
# Advice for a typed path that cannot be used, by error number.
_ADVICE = {
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ENOTDIR: "A part of this path is a file where a folder was expected.",
    errno.EEXIST: "A part of this path is a file where a folder was expected.",
    errno.EACCES: "Choose a path that you may read and write.",
    errno.EROFS: "Choose a path on a disk that can be written to.",
} | dict.fromkeys(_FULL, "Make room on the disk, and repeat the command.")


def _of_a_path(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename is not None else ""
    return f"{where}{error.strerror}. {_ADVICE.get(error.errno or 0, 'Check the path.')}"


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
