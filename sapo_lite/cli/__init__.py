"""The command line. Errors are printed here only; torch is imported only by commands that need it."""

import io
import os
import sys
from typing import Annotated

import typer

from sapo_lite import __version__
from sapo_lite.cli.chat_command import chat
from sapo_lite.cli.cite_command import cite
from sapo_lite.cli.compare_command import compare
from sapo_lite.cli.data_command import data_app
from sapo_lite.cli.diff_command import diff
from sapo_lite.cli.doctor_command import doctor
from sapo_lite.cli.examples import add_examples
from sapo_lite.cli.export_command import export
from sapo_lite.cli.failures import report
from sapo_lite.cli.new_command import new
from sapo_lite.cli.paraphrase_command import paraphrase
from sapo_lite.cli.plan_command import plan
from sapo_lite.cli.predict_command import predict
from sapo_lite.cli.probe_command import probe
from sapo_lite.cli.recipes_command import recipes_app
from sapo_lite.cli.report_command import report as report_command
from sapo_lite.cli.run_command import run
from sapo_lite.cli.runs_command import runs
from sapo_lite.cli.score_command import score
from sapo_lite.cli.show_command import show
from sapo_lite.cli.watch_command import watch

app = typer.Typer(
    name="sapo-lite",
    help="Prompt-aware continual fine-tuning on one GPU: learn tasks in a row, each with the wording of "
    "its instruction that has the lowest loss beforehand (SAPO, State-Adaptive Prompt Optimization).",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command()(runs)
app.command()(show)
app.command()(diff)
app.command()(new)
app.command()(plan)
app.command()(doctor)
app.command()(compare)
app.command()(probe)
app.command()(paraphrase)
app.command()(score)
app.command("report")(report_command)
app.command()(export)
app.command()(chat)
app.command()(predict)
app.command()(cite)
app.command()(watch)
app.add_typer(recipes_app, name="recipes")
app.add_typer(data_app, name="data")
add_examples(app)


def main() -> None:
    """Entry point of the installed command and of cli.py."""
    # OpenMP threads spin while they wait, which slows other processes on the machine several times. The
    # variable is read when torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    _prepare_output()
    try:
        try:
            app()
        finally:
            _flush()
    except Exception as error:
        raise SystemExit(report(error)) from None


def _prepare_output() -> None:
    """Let output work wherever it goes: closed, or to a terminal that cannot show every character."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper) and "utf" not in stream.encoding.lower():
            stream.reconfigure(errors="replace")


def _flush() -> None:
    """Write what is left, so that a full disk is an error of the command. Python would say so at its exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


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
