"""What the commands that take long share: how they show their work, and how they end on Ctrl-C."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

import typer
from rich.console import Console

if TYPE_CHECKING:
    from sapo_lite.display import LiveDisplay, PlainDisplay


def display(title: str, plain: bool) -> "LiveDisplay | PlainDisplay":
    """A live display on a terminal, plain lines elsewhere; both on stderr."""
    from sapo_lite.display import LiveDisplay, PlainDisplay

    if plain or not sys.stderr.isatty():
        return PlainDisplay(Console(file=sys.stderr, no_color=True, force_terminal=False, width=110))
    return LiveDisplay(Console(file=sys.stderr), title)


def wide_console(file: TextIO) -> Console:
    """A console for tables: as wide as the terminal, or as a pipe should be, which has no width."""
    return Console(file=file, width=None if file.isatty() or "COLUMNS" in os.environ else 110)


@contextlib.contextmanager
def interruptible(then: str) -> Iterator[None]:
    """Ctrl-C ends with a line that says what `then` can be done, rather than with a traceback."""

    def interrupt(number: int, frame: object) -> None:
        # Python drops an exception that strikes in a destructor or a callback: raise it until it holds.
        signal.setitimer(signal.ITIMER_REAL, 3)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGALRM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\ninterrupted: {then}", err=True)
        raise typer.Exit(130) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
