"""Lock of a folder, of a run or of a comparison: one process at a time."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from sapo_lite.errors import RunFolderError
from sapo_lite.run.paths import LOCK, LOG
from sapo_lite.support.leftovers import remove_leftovers
from sapo_lite.support.lock import HeldError, owned


@contextlib.contextmanager
def locked(path: Path, partial: re.Pattern[str] | None = None) -> Iterator[None]:
    """Make a folder, hold its lock, and remove incomplete files that killed processes left in it.

    partial: names of incomplete files and folders, at any depth; by default only JSON files of the folder
        itself

    Raises:
        RunFolderError: another process holds the lock, or was killed on another host while it did.
    """
    path.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(owned(path / LOCK))
        except HeldError as error:
            fix = error.elsewhere or "Wait for it or stop it."
            raise RunFolderError(
                f"{path} is in use by another sapo-lite process ({error.who}). {fix} Or choose another "
                "folder with --out."
            ) from None
        remove_leftovers(path, partial)
        yield


def is_empty(path: Path) -> bool:
    """Whether the folder is missing, or has nothing but what a process leaves that was killed at its start.

    These are the log, and hidden files: the lock, and temporary ones.
    """
    ours = (p.name == LOG or p.name.startswith(".") for p in path.iterdir()) if path.is_dir() else [False]
    return not path.exists() or all(ours)
