"""Removal of half-written files and folders of killed processes, by their temporary names."""

import contextlib
import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

# Of files.write_json; nothing else is touched, but for what the caller names.
_TEMPORARY = re.compile(r"\..+\.(json|html)\.[0-9]+")
_AN_HOUR = 3600.0  # seconds; writing a file takes moments


def remove_leftovers(folder: Path, partial: re.Pattern[str] | None = None) -> None:
    """Remove all that is in a folder; with names of the caller's own, all below it, too.

    The caller holds the folder's lock: nobody else is writing.
    """
    if partial is None:
        _remove(folder.iterdir())
    else:
        _remove(folder.rglob("*"), also=partial)


def remove_old_leftovers(folder: Path) -> None:
    """Remove leftovers that are an hour old, from a folder without a lock, in which others may write."""
    _remove(folder.iterdir(), older_than=_AN_HOUR)


def _remove(entries: Iterable[Path], older_than: float = 0.0, also: re.Pattern[str] | None = None) -> None:
    patterns = [_TEMPORARY, *([also] if also else [])]
    for entry in [e for e in entries if any(pattern.fullmatch(e.name) for pattern in patterns)]:
        with contextlib.suppress(FileNotFoundError):  # inside of one that was removed, or removed by another
            # A time in the future, from before the clock was set back, says nothing: it counts as old.
            if abs(time.time() - entry.stat().st_mtime) < older_than:
                continue
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
