"""Removal of half-written files and folders of killed processes, by their temporary names."""

import contextlib
import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

# Temporary names of support/files.py, run/folder.py and compare/reuse.py; nothing else is touched.
_TEMPORARY = re.compile(
    r"\..+\.json\.[0-9]+|adapter\.partial|\.(candidates|[0-9]{2,}-.+|losses.*\.json)\.partial"
)
_AN_HOUR = 3600.0  # seconds; writing a file takes moments


def remove_leftovers(folder: Path, *, below: bool = False) -> None:
    """Remove all leftovers in a folder and `below` it. The caller holds its lock: no other process writes."""
    _remove(folder.rglob("*") if below else folder.iterdir())


def remove_old_leftovers(folder: Path) -> None:
    """Remove leftovers that are an hour old, from a folder without a lock, in which others may write."""
    _remove(folder.iterdir(), older_than=_AN_HOUR)


def _remove(entries: Iterable[Path], older_than: float = 0.0) -> None:
    for entry in [entry for entry in entries if _TEMPORARY.fullmatch(entry.name)]:
        with contextlib.suppress(
            FileNotFoundError
        ):  # it was inside a removed folder, or another process removed it
            if time.time() - entry.stat().st_mtime < older_than:
                continue
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
