"""Display, Ctrl-C and JSON output of the commands."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import typer

from sapo_lite.errors import SapoLiteError
from sapo_lite.report.console import ForeignConsole
from sapo_lite.support.foreign_text import escaped_json, visible

if TYPE_CHECKING:
    from sapo_lite.report.live import LiveDisplay
    from sapo_lite.report.plain import PlainDisplay
    from sapo_lite.run.progress import RunProgress

# SIGHUP: the terminal was closed. Windows has none.
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


def display(title: str, plain: bool) -> "LiveDisplay | PlainDisplay":
    """A live display on a terminal, plain lines elsewhere; both on stderr."""
    from sapo_lite.report.live import LiveDisplay
    from sapo_lite.report.plain import PlainDisplay

    if plain or not sys.stderr.isatty():
        width = wide_console(sys.stderr).width
        return PlainDisplay(ForeignConsole(sys.stderr, no_color=True, force_terminal=False, width=width))
    return LiveDisplay(ForeignConsole(sys.stderr), title)


def wide_console(file: TextIO) -> ForeignConsole:
    """A console for tables: as wide as the terminal, or 110 characters for pipes and files."""
    return ForeignConsole(file, width=None if file.isatty() or "COLUMNS" in os.environ else 110)


def show(text: str, *, err: bool = False) -> None:
    """Print a text with a line end, to stdout or stderr. Foreign text in it is shown, and never obeyed."""
    typer.echo(visible(text), err=err)


@contextlib.contextmanager
def interruptible(then: str) -> Iterator[None]:
    """Context manager: Ctrl-C, SIGTERM and SIGHUP exit with the line `interrupted: {then}`.

    A second one ends the program at once: what is finished is on the disk. The exit code is 128 + the signal.
    """
    received: list[int] = []

    def interrupt(number: int, frame: object) -> None:
        if number != signal.SIGALRM:
            received.append(number)
        if len(received) > 1:
            stop_at_once(then, received[0])
        # Python drops exceptions raised inside a destructor or a callback, so raise it again every 3 seconds.
        signal.setitimer(signal.ITIMER_REAL, 3)
        raise KeyboardInterrupt

    alarm = signal.getitimer(signal.ITIMER_REAL)
    before = {number: signal.signal(number, interrupt) for number in (*_INTERRUPTS, signal.SIGALRM)}
    try:
        yield
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)
        show(f"\ninterrupted: {then}", err=True)
        raise typer.Exit(128 + (received or [signal.SIGINT])[0]) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, *alarm)
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_at_once(then: str, number: int) -> NoReturn:
    """End the process without any cleaning up."""
    show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
    with contextlib.suppress(OSError):
        os.write(2, f"{show_cursor}\ninterrupted: {visible(then)}\n".encode(errors="replace"))
    os._exit(128 + number)


@contextlib.contextmanager
def working(title: str, plain: bool, *, then: str, log: Path = Path(os.devnull)) -> "Iterator[RunProgress]":
    """Context manager: a display on stderr, output of libraries in `log`, Ctrl-C as in `interruptible`."""
    from sapo_lite.support.library_logs import chatter_to

    with interruptible(then), display(title, plain) as progress, chatter_to(log):
        yield progress


def is_stdout(json_file: Path | None) -> bool:
    """Whether JSON goes to stdout. Raises SapoLiteError, before any work, if the path cannot be a file."""
    if json_file is not None and (json_file.is_dir() or not json_file.parent.is_dir()):
        raise SapoLiteError(f"--json {json_file}: expected the name of a file in a folder that exists.")
    return json_file == Path("-")


def write_json(json_file: Path, text: str) -> None:
    """Write JSON to the file named by --json, or to stdout for `-`. An older file stays until it is written.

    Raises:
        SapoLiteError: the file cannot be written.
    """
    text = escaped_json(text)
    if json_file == Path("-"):
        typer.echo(text, nl=False)
        return
    plain = not json_file.exists() or json_file.is_file()  # and no device, such as /dev/stdout
    written = json_file.with_name(f".{json_file.name}.{os.getpid()}") if plain else json_file
    try:
        written.write_text(text, encoding="utf-8")
        if plain:
            written.replace(json_file)
    except OSError as error:
        if plain:
            with contextlib.suppress(OSError):  # the disk may be one that cannot be written at all
                written.unlink(missing_ok=True)
        raise SapoLiteError(f"--json {json_file}: cannot be written ({error.strerror})") from None
