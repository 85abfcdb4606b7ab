"""Errors as a user sees them: one line, or for a fault of the program a few lines to report. Exit codes.

0  done
1  failed: a model, a server, a disk, a run folder
2  bad input: the command line, a recipe, data
3  the recipe's [guard] stopped the run
130, 143, 129  interrupted by Ctrl-C, SIGTERM, SIGHUP
"""

import contextlib
import errno
import os
import platform
import re
import shlex
import sys
import traceback
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sapo_lite.errors import DataError, GuardError, RecipeError, SapoLiteError
from sapo_lite.report.colours import BAD
from sapo_lite.report.console import ForeignConsole
from sapo_lite.support.disk import FULL, free_bytes, in_words
from sapo_lite.support.foreign_text import visible

DEBUG = "SAPO_LITE_DEBUG"
_GOES_ON = "What was finished is kept: the same command goes on."
_SMALLER = (
    "Free memory that other programs hold, lower training.micro_batch_size or model.max_source_tokens, or "
    "use a smaller model."
)
# Advice for a path that cannot be used, by error number.
_ADVICE = {
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ENOTDIR: "A part of this path is a file where a folder was expected.",
    errno.EEXIST: "A part of this path is a file where a folder was expected.",
    errno.EACCES: "Choose a path that you may read and write.",
    errno.EPERM: "Choose a path that you may read and write.",
    errno.EROFS: "Choose a path on a disk that can be written to.",
} | dict.fromkeys(FULL, f"Make room on the disk, and repeat the command. {_GOES_ON}")
_PACKAGES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "unsloth")
_SECRET = re.compile("KEY|TOKEN|SECRET|PASSWORD")


def report(error: Exception) -> int:
    """Print an error to stderr, and return the exit code. With SAPO_LITE_DEBUG set, also its traceback."""
    if os.environ.get(DEBUG):
        print(visible(_without_secrets("".join(traceback.format_exception(error)))), file=sys.stderr)
    match error:
        case GuardError():
            lines, code = [str(error)], 3
        case RecipeError() | DataError():
            lines, code = [str(error)], 2
        case SapoLiteError():
            lines, code = [str(error)], 1
        case MemoryError():
            lines, code = [f"Memory did not suffice. {_GOES_ON}"], 1
        case OSError():
            lines, code = [_of_a_path(error)], 1
        case _ if _out_of_memory(error):
            lines, code = [f"Memory did not suffice ({_first_line(error)}). {_SMALLER} {_GOES_ON}"], 1
        case _:
            lines, code = list(_fault(error)), 1
    show_error("\n".join(lines))
    return code


def show_error(text: str) -> None:
    """Print an error to stderr, without secrets of the environment."""
    with contextlib.suppress(OSError):  # the disk behind stderr is full, too
        ForeignConsole(sys.stderr, soft_wrap=True).print(f"error: {_without_secrets(text)}", style=BAD)


def _out_of_memory(error: Exception) -> bool:
    """Whether it is torch's error that memory ran out, at a place that cannot work in smaller parts."""
    if "torch" not in sys.modules:
        return False
    from sapo_lite.model.memory import out_of_memory

    return out_of_memory(error)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "").rstrip(".")[:200]


def _of_a_path(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename is not None else ""
    room = ""
    if error.errno in FULL and error.filename is not None:
        free = free_bytes(Path(os.fsdecode(error.filename)))
        room = "" if free is None else f" ({in_words(free)} are free)"
    return f"{where}{error.strerror or error}{room}. {_ADVICE.get(error.errno or 0, 'Check the path.')}"


def _fault(error: Exception) -> Iterator[str]:
    """Lines to report: where it happened, versions, the command; without keys and the home folder."""
    package = Path(__file__).resolve().parents[1]
    yield f"sapo-lite failed in a way that was not foreseen. {_GOES_ON} To report it, copy these lines:"
    yield _private(f"  {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).is_relative_to(package):
            yield f"  at {Path(frame.filename).relative_to(package)}:{frame.lineno} ({frame.name})"
    yield f"  {', '.join(_versions())}"
    yield _private(f"  {shlex.join(['sapo-lite', *sys.argv[1:]])}")
    yield f"The whole traceback is shown with {DEBUG}=1 in the environment."


def _versions() -> Iterator[str]:
    from sapo_lite import __version__

    yield f"sapo-lite {__version__}"
    yield f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    for name in _PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue


def _private(text: str) -> str:
    """The text without what environment variables call secret, and without the home folder's path."""
    home = os.environ.get("HOME", "")
    return _without_secrets(text).replace(home, "~") if len(home) > 1 else _without_secrets(text)


def _without_secrets(text: str) -> str:
    for name, value in os.environ.items():
        if _SECRET.search(name.upper()) and len(value) >= 8:
            text = text.replace(value, "***")
    return text
