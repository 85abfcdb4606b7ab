"""`sapo-lite watch`."""

import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from sapo_lite.cli.options import Plain
from sapo_lite.cli.terminal import interruptible, wide_console
from sapo_lite.support.shipped import typed_path

_Run = Annotated[Path, typer.Argument(help="Folder of a run, of this or another process.", parser=typed_path)]
_PAUSE = 1.0  # seconds between two looks


def watch(run: _Run, plain: Plain = False) -> None:
    """Follow a run of another process, without disturbing it, and print its summary at the end."""
    from sapo_lite.report.run_summary import summary
    from sapo_lite.run.folder import read_usage
    from sapo_lite.run.results import is_finished, read_results

    with interruptible("the run goes on by itself"):
        if not is_finished(run):
            _follow(run, live=not plain and sys.stderr.isatty())
    wide_console(sys.stdout).print(summary(read_results(run), read_usage(run), run))


def _follow(run: Path, *, live: bool) -> None:
    """Show what the run does until it is finished: redrawn in place, or else a line for each change."""
    from rich.live import Live

    from sapo_lite.report.watch_view import heading, under_way_view
    from sapo_lite.run.results import is_finished
    from sapo_lite.run.under_way import under_way

    console = wide_console(sys.stderr)
    found, shown = under_way(run), ""
    # Not the console itself: as a context it would hold its lines back until the end.
    display = Live(console=console, auto_refresh=False, transient=True) if live else nullcontext(console)
    with display as screen:
        while True:
            if isinstance(screen, Live):
                screen.update(under_way_view(run.name, found), refresh=True)
            elif (line := f"{heading(run.name, found)}: {found.doing}") != shown:
                console.print(line, markup=False, highlight=False, soft_wrap=True)
                shown = line
            time.sleep(_PAUSE)
            if is_finished(run):
                return
            found = under_way(run)
